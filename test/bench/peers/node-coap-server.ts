// The npm library `coap` as a server of one short text, for the CoAP benchmark.
import { createServer } from "coap";

const server = createServer((_request, response) => {
  response.setOption("Content-Format", "text/plain");
  response.end("1234");
});
server.listen(Number(process.argv[2]), "127.0.0.1");
