// Package client is a SignalR client. It calls the methods of a hub, handles invocations by the
// hub, and reconnects. It works with any SignalR server over WebSockets, Server-Sent Events or long
// polling, in JSON or MessagePack.
//
//	conn := client.New("https://example.com/chat", client.Options{Reconnect: client.DefaultReconnect()})
//	conn.On("ReceiveMessage", client.Action2(func(ctx context.Context, user, text string) error {
//		fmt.Println(user, text)
//		return nil
//	}))
//	if err := conn.Start(ctx); err != nil { … }
//	defer conn.Stop(ctx)
//	sum, err := client.Invoke[int](ctx, conn, "Add", 1, 2)
//
// Start makes one attempt. Run repeats it by Options.Reconnect, so that a service may start before
// its server; WaitConnected waits until it has succeeded. Calls fail at once with ErrNotConnected
// while there is no connection.
//
// # Order
//
// Handlers and state callbacks of one connection run one at a time, in the order of the server's
// messages and of the state changes. While a handler runs, completions, stream items and pings are
// read concurrently, so that a handler may call the hub and wait for the result. The messages of
// one goroutine are sent in order. Messages that arrived before the server ended the connection, or
// before it was lost, are still handled; the callback for Disconnected runs after them. The ctx of
// handlers ends with Stop, with the ctx of Run, and Options.CloseTimeout after the end of a
// connection that does not reconnect. No handler is called after that.
//
// # Bounds
//
// Messages that wait for handlers and for loops over streams are bounded (Options.MaxBuffered).
// When a megabyte waits, nothing more is read from the connection. While a call waits for a message
// that only reading can bring, reading goes on up to the bound.
//
// # Broken sockets
//
// When a connection is lost, its calls and streams fail; Options.Reconnect makes a new one. With
// Options.StatefulReconnect, and a server that allows it, the connection survives its sockets: both
// sides number their messages, keep them until they are acknowledged, and repeat the messages that
// were lost with a socket. ASP.NET Core supports that on WebSockets, Carillon's server on all
// transports. Servers forget a client that does not return within some seconds; then
// Options.Reconnect applies. Sockets that break early are replaced after pauses of up to two
// seconds. If no message gets through for 15 seconds, the connection is lost for that reason.
//
// # Expiring tokens
//
// If Options.AccessToken is set and the server reports in the negotiation how long the
// authentication lasts, the client sends it a fresh token in time. Options.DisableAutoRefresh
// switches that off. RefreshAuthentication does it at once.
//
// # Functions of the application
//
// A panic or a runtime.Goexit of a handler, a callback, a token function, a policy or the sequence
// of an upload is an error like any other. It does not prevent other functions from running.
// Results are decoded on the caller's goroutine.
package client
