// A WebSocket with a time limit for the official SignalR client, whose own waits for ever, or as long as
// the browser does, where something on the way swallows the handshake:
//
//   <script src="{hub}/carillon.js"></script>
//
//   new signalR.HubConnectionBuilder().withUrl("{hub}", { WebSocket: CarillonWebSocket })
//
// In Node before 22, which has no WebSocket, it is undefined: the client then uses its own.
{
  const Native = globalThis.WebSocket;

  globalThis.CarillonWebSocket = Native && class CarillonWebSocket extends Native {
    // Milliseconds until the client tries the next transport.
    static limit = 3000;

    constructor(...args) {
      super(...args);
      const timer = setTimeout(() => this.close(), CarillonWebSocket.limit);
      const done = () => clearTimeout(timer);
      this.addEventListener("open", done);
      this.addEventListener("close", done);
    }
  };
}
