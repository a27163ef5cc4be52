// californium-proxy2 as a proxy from HTTP to CoAP at a port that the system chooses, with a cache of fresh answers: what the gateway is
// compared with. Says `{"port": N}` once it listens, and ends with its standard input.
//
//   java -cp 'JARS/*' Proxy.java
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.config.TcpConfig;
import org.eclipse.californium.elements.config.UdpConfig;
import org.eclipse.californium.proxy2.ClientSingleEndpoint;
import org.eclipse.californium.proxy2.Coap2CoapTranslator;
import org.eclipse.californium.proxy2.config.Proxy2Config;
import org.eclipse.californium.proxy2.http.Http2CoapTranslator;
import org.eclipse.californium.proxy2.http.server.ProxyHttpServer;
import org.eclipse.californium.proxy2.resources.ForwardProxyMessageDeliverer;
import org.eclipse.californium.proxy2.resources.ProxyCacheResource;
import org.eclipse.californium.proxy2.resources.ProxyCoapClientResource;

public class Proxy {
  public static void main(String[] words) throws Exception {
    CoapConfig.register();
    UdpConfig.register();
    TcpConfig.register();
    Proxy2Config.register();
    Configuration config = Configuration.createStandardWithoutFile();
    ScheduledExecutorService threads = Executors.newScheduledThreadPool(4);
    CoapEndpoint endpoint = CoapEndpoint.builder().setConfiguration(config).build();
    endpoint.setExecutors(threads, threads);
    endpoint.start();
    ProxyCoapClientResource forward =
        new ProxyCoapClientResource(
            "coap2coap", false, true, new Coap2CoapTranslator(), new ClientSingleEndpoint(endpoint));
    forward.setCache(new ProxyCacheResource(config, true));
    // Its server takes no port 0.
    int port;
    try (ServerSocket free = new ServerSocket(0)) {
      port = free.getLocalPort();
    }
    ProxyHttpServer server =
        ProxyHttpServer.buider()
            .setConfiguration(config)
            .setExecutor(threads)
            .setInetSocketAddress(new InetSocketAddress("127.0.0.1", port))
            .setHttpTranslator(new Http2CoapTranslator())
            .setProxyCoapDeliverer(new ForwardProxyMessageDeliverer(forward))
            .build();
    server.start();
    System.out.println("{\"port\": " + port + "}");
    while (System.in.read() >= 0) {}
    System.exit(0);
  }
}
