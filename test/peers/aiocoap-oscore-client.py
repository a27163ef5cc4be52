"""A client written by others, under OSCORE: does what each line of standard input asks for, and prints what came of it.

A line is JSON: {"method": "GET", "path": "node", "payload": hex or absent}, or {"observe": path, "count": n}. Each is answered with
a line: {"code": "2.05", "payload": hex}, an observation with {"payloads": [hex, ...]}. aiocoap takes blocks and Echo by itself.

Its context lies in a folder; or, with three more words, it comes of a key exchange (EDHOC): its secret key, its credential and that of the
other end, all in hexadecimal.
"""

import asyncio
import json
import sys

import aiocoap
from aiocoap import Message, numbers

address, folder, *exchange = sys.argv[1:]


def credentials():
    if not exchange:
        return {"oscore": {"basedir": folder}}
    import cbor2

    secret, own, other = (bytes.fromhex(word) for word in exchange)
    return {
        "edhoc-oscore": {
            "suite": 2,
            "method": 3,
            "own_cred_style": "by-key-id",
            "own_cred": {14: cbor2.loads(own)},
            "private_key": {1: 2, -1: 1, -4: secret},
            "peer_cred": {14: cbor2.loads(other)},
            # message_3 in a request of its own: RFC 9668 is not what a node has.
            "use_combined_edhoc": False,
        }
    }


async def ask(context, request):
    message = Message(
        code=getattr(numbers.codes.Code, request["method"]),
        uri=f"{address}/{request['path']}",
        payload=bytes.fromhex(request.get("payload", "")),
    )
    response = await asyncio.wait_for(context.request(message).response, 40)
    code = f"{response.code >> 5}.{response.code & 31:02}"
    protected = hasattr(response.remote, "security_context")
    return {"code": code, "payload": response.payload.hex(), "protected": protected}


async def observe(context, request):
    message = Message(code=aiocoap.GET, uri=f"{address}/{request['observe']}", observe=0)
    requester = context.request(message)
    seen = [(await asyncio.wait_for(requester.response, 40)).payload.hex()]
    print(json.dumps({"first": seen[0]}), flush=True)
    async for response in requester.observation:
        seen.append(response.payload.hex())
        if len(seen) >= request["count"]:
            requester.observation.cancel()
            break
    return {"payloads": seen}


async def show(context):
    """Shows the node that we are where we say (RFC 9175 section 2.3): aiocoap returns an Echo value by itself only under OSCORE."""
    asked = Message(code=aiocoap.POST, uri=f"{address}/.well-known/edhoc")
    told = await asyncio.wait_for(context.request(asked).response, 40)
    echoed = Message(code=aiocoap.GET, uri=f"{address}/node")
    echoed.opt.echo = told.opt.echo
    await asyncio.wait_for(context.request(echoed).response, 40)


async def main():
    context = await aiocoap.Context.create_client_context()
    if exchange:
        await show(context)
    context.client_credentials.load_from_dict({f"{address}/*": credentials()})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        try:
            work = observe if "observe" in request else ask
            answer = await work(context, request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    await context.shutdown()


asyncio.run(main())
