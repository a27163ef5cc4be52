// A client written by others, under OSCORE: Californium's cf-oscore. It does what each line of standard input asks for, and prints what
// came of it; the lines are those of aiocoap-oscore-client.py. Californium leaves it to the program to return an Echo value (RFC 9175).
import com.upokecenter.cbor.CBORObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapHandler;
import org.eclipse.californium.core.CoapObserveRelation;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.coap.CoAP;
import org.eclipse.californium.core.coap.Option;
import org.eclipse.californium.core.coap.Request;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.cose.AlgorithmID;
import org.eclipse.californium.elements.config.UdpConfig;
import org.eclipse.californium.elements.util.StringUtil;
import org.eclipse.californium.oscore.HashMapCtxDB;
import org.eclipse.californium.oscore.OSCoreCoapStackFactory;
import org.eclipse.californium.oscore.OSCoreCtx;

public class OscoreClient {
  private static final int ECHO = 252;
  private static final long PATIENCE = 40_000;
  private static String address;
  private static byte[] echo;

  public static void main(String[] words) throws Exception {
    address = words[0];
    CoapConfig.register();
    UdpConfig.register();
    HashMapCtxDB contexts = new HashMapCtxDB();
    contexts.addContext(address, context(Path.of(words[1], "settings.json")));
    OSCoreCoapStackFactory.useAsDefault(contexts);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = lines.readLine()) != null; ) {
      CBORObject answer = CBORObject.NewMap();
      try {
        CBORObject asked = CBORObject.FromJSONString(line);
        answer = asked.ContainsKey("observe") ? observe(asked) : ask(asked);
      } catch (Exception error) {
        answer.Add("error", error.toString());
      }
      say(answer);
    }
    System.exit(0);
  }

  private static void say(CBORObject answer) {
    System.out.println(answer.ToJSONString());
    System.out.flush();
  }

  private static OSCoreCtx context(Path settings) throws Exception {
    CBORObject all = CBORObject.FromJSONString(Files.readString(settings));
    // Java takes no empty key for HMAC; zeros in its place are the same (RFC 5869 §2.2).
    byte[] salt = bytes(all, "salt_hex");
    return new OSCoreCtx(
        bytes(all, "secret_hex"),
        true,
        AlgorithmID.AES_CCM_16_64_128,
        bytes(all, "sender-id_hex"),
        bytes(all, "recipient-id_hex"),
        AlgorithmID.HKDF_HMAC_SHA_256,
        32,
        salt.length > 0 ? salt : new byte[32],
        null,
        4096);
  }

  private static byte[] bytes(CBORObject map, String key) {
    return map.ContainsKey(key) ? StringUtil.hex2ByteArray(map.get(key).AsString()) : new byte[0];
  }

  private static Request request(CoAP.Code code, String path) {
    Request request = new Request(code);
    request.setURI(address + "/" + path);
    request.getOptions().setOscore(new byte[0]);
    if (echo != null) request.getOptions().addOption(new Option(ECHO, echo));
    return request;
  }

  /** Whether an answer tells a value to be echoed; it is kept. */
  private static boolean challenges(CoapResponse response) {
    for (Option option : response.getOptions().getOthers())
      if (option.getNumber() == ECHO) {
        echo = option.getValue();
        return response.getCode() == CoAP.ResponseCode.UNAUTHORIZED;
      }
    return false;
  }

  private static CBORObject ask(CBORObject asked) throws Exception {
    CoapClient client = new CoapClient();
    client.setTimeout(PATIENCE);
    for (int attempt = 0; ; attempt++) {
      Request request =
          request(CoAP.Code.valueOf(asked.get("method").AsString()), asked.get("path").AsString());
      byte[] payload = bytes(asked, "payload");
      if (payload.length > 0) request.setPayload(payload);
      CoapResponse response = client.advanced(request);
      if (response == null) throw new IOException("no answer");
      if (challenges(response) && attempt < 2) continue;
      return CBORObject.NewMap()
          .Add("code", response.getCode().text)
          .Add("payload", StringUtil.byteArray2Hex(response.getPayload()).toLowerCase())
          .Add("protected", response.getOptions().hasOscore());
    }
  }

  private static CBORObject observe(CBORObject asked) throws Exception {
    BlockingQueue<String> came = new LinkedBlockingQueue<>();
    CoapClient client = new CoapClient();
    client.setTimeout(PATIENCE);
    CoapObserveRelation relation =
        client.observe(
            request(CoAP.Code.GET, asked.get("observe").AsString()).setObserve(),
            new CoapHandler() {
              @Override
              public void onLoad(CoapResponse response) {
                came.add(StringUtil.byteArray2Hex(response.getPayload()).toLowerCase());
              }

              @Override
              public void onError() {}
            });
    List<String> seen = new ArrayList<>();
    while (seen.size() < asked.get("count").AsInt32()) {
      String payload = came.poll(PATIENCE, TimeUnit.MILLISECONDS);
      if (payload == null) throw new IOException("no notification");
      if (seen.isEmpty()) say(CBORObject.NewMap().Add("first", payload));
      seen.add(payload);
    }
    relation.proactiveCancel();
    CBORObject payloads = CBORObject.NewArray();
    seen.forEach(payloads::Add);
    return CBORObject.NewMap().Add("payloads", payloads);
  }
}
