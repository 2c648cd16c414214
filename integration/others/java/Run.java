import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.microsoft.signalr.HubConnection;
import com.microsoft.signalr.HubConnectionBuilder;
import com.microsoft.signalr.TransportEnum;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The official Java client. The scenarios are ordered as ../../clients/orders.js says. It names no class of RxJava, whose
 * packages differ between the versions of the client.
 */
public final class Run {
  /**
   * Over long polling the library posts the items of an upload in any order, and version 3 is not told of the end, by
   * the original either.
   */
  private static final List<String> SCENARIOS =
      List.of("calls over WebSockets", "calls over LongPolling", "streams over WebSockets", "streams over LongPolling",
          "uploads over WebSockets", "restart over WebSockets");

  private static final long PATIENCE = 20; // seconds
  private static final Map<String, TransportEnum> TRANSPORTS =
      Map.of("WebSockets", TransportEnum.WEBSOCKETS, "LongPolling", TransportEnum.LONG_POLLING);

  private static final Gson GSON = new Gson();
  private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  public static void main(String[] args) throws Exception {
    List<Map<String, String>> scenarios = new ArrayList<>();
    for (String name : SCENARIOS) {
      scenarios.add(Map.of("name", name));
    }
    OUT.println(GSON.toJson(Map.of("scenarios", scenarios)));
    for (JsonObject order = next(); order != null; order = next()) {
      OUT.println(GSON.toJson(outcome(order)));
    }
    System.exit(0); // without waiting for threads of the library
  }

  private static Map<String, Object> outcome(JsonObject order) {
    try {
      run(order.get("scenario").getAsString(), order.get("url").getAsString());
      return Map.of("done", true);
    } catch (Throwable t) {
      StringWriter trace = new StringWriter();
      t.printStackTrace(new PrintWriter(trace));
      return Map.of("done", true, "error", trace.toString());
    }
  }

  private static JsonObject next() throws IOException {
    String line = IN.readLine();
    return line == null ? null : GSON.fromJson(line, JsonObject.class);
  }

  private static void ask(String what) throws IOException {
    OUT.println(GSON.toJson(Map.of("ask", what)));
    JsonObject answer = next();
    if (answer.has("error")) {
      throw new IllegalStateException(what + ": " + answer.get("error"));
    }
  }

  private static void run(String scenario, String url) throws Exception {
    String[] parts = scenario.split(" over ");
    HubConnection connection = HubConnectionBuilder.create(url + "/testhub").withTransport(TRANSPORTS.get(parts[1])).build();
    connection.start().blockingAwait();
    try {
      switch (parts[0]) {
        case "calls" -> calls(connection, parts[1]);
        case "streams" -> streams(connection);
        case "uploads" -> uploads(connection);
        default -> restart(connection);
      }
    } finally {
      connection.stop().blockingAwait(PATIENCE, TimeUnit.SECONDS);
    }
  }

  private static void calls(HubConnection connection, String transport) throws Exception {
    equal(connection.invoke(String.class, "Echo", "žluť").blockingGet(), "žluť");
    equal(connection.invoke(String.class, "GetActiveTransportName").blockingGet(), transport);
    BlockingQueue<String> messages = new LinkedBlockingQueue<>();
    connection.on("Message", messages::add, String.class);
    connection.send("InvokeWithString", "hello");
    equal(messages.poll(PATIENCE, TimeUnit.SECONDS), "hello");
    fails("InvalidOperationException: boom", () -> connection.invoke(String.class, "ThrowException", "boom").blockingGet());
    fails("Method does not exist", () -> connection.invoke(String.class, "Nonsense").blockingGet());
  }

  private static void streams(HubConnection connection) {
    equal(collect(connection.stream(String.class, "Stream").blockingIterable()), List.of("a", "b", "c"));
    equal(collect(connection.stream(String.class, "EmptyStream").blockingIterable()), List.of());
    fails("InvalidOperationException: boom",
        () -> collect(connection.stream(String.class, "StreamThrowException", "boom").blockingIterable()));
  }

  private static void uploads(HubConnection connection) {
    var items = connection.stream(String.class, "Stream"); // a stream is one that can be uploaded
    equal(connection.invoke(String.class, "StreamingConcat", items).blockingGet(), "abc");
  }

  /** The library does not reconnect: an application starts it again when it has closed. */
  private static void restart(HubConnection connection) throws Exception {
    BlockingQueue<String> closed = new LinkedBlockingQueue<>();
    connection.onClosed(reason -> closed.add(String.valueOf(reason)));
    ask("terminate");
    ask("start");
    Objects.requireNonNull(closed.poll(PATIENCE, TimeUnit.SECONDS), "it is not told of the end");
    connection.start().blockingAwait();
    equal(connection.invoke(String.class, "Echo", "again").blockingGet(), "again");
  }

  private static List<String> collect(Iterable<String> items) {
    List<String> all = new ArrayList<>();
    items.forEach(all::add);
    return all;
  }

  private static void equal(Object got, Object want) {
    if (!Objects.equals(got, want)) {
      throw new AssertionError("got " + got + ", want " + want);
    }
  }

  private static void fails(String text, Runnable call) {
    try {
      call.run();
    } catch (RuntimeException e) {
      if (String.valueOf(e.getMessage()).contains(text)) {
        return;
      }
      throw e;
    }
    throw new AssertionError("it does not fail with " + text);
  }
}
