// Package client is a SignalR client: it calls the methods of a hub, is called by it, and stays
// connected. It talks to any SignalR server over WebSockets, Server-Sent Events or long polling,
// in JSON or MessagePack.
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
// # Order
//
// Handlers and state callbacks of one connection run one at a time, in the order in which the
// server sent and things happened. While one runs, answers to calls, stream items and pings are
// read beside it, so that a handler may call the hub itself and wait for the answer. What one
// goroutine sends leaves in that order. What came before the server ended the connection, or it was
// lost, is still handled, and Disconnected is told behind it. The ctx of handlers ends with Stop, with that
// of Run, and Options.CloseTimeout after a connection that is not made anew; none is called after that.
//
// # Bounds
//
// What waits for handlers and for the loops that range over streams is bounded (Options.MaxBuffered).
// When a megabyte waits, nothing more is read from the connection, unless somebody is waiting for an
// answer that only reading can bring; then reading goes on up to the bound.
//
// # Broken sockets
//
// A connection that is lost takes its calls and streams with it; Options.Reconnect makes a new one.
// With Options.StatefulReconnect, and a server that allows it, the connection survives its sockets: both
// sides number their messages, keep them until they are acknowledged, and send again what the break
// swallowed. ASP.NET Core does that on WebSockets, Carillon's server on all transports. Servers
// forget a client that does not come back within some seconds; then Options.Reconnect has its turn.
// Sockets that break soon are replaced after pauses of up to two seconds. If nothing gets through for
// 15 seconds the connection counts as lost, with that as the reason.
//
// # Tokens that end
//
// Where Options.AccessToken is set and the server tells at negotiation how long the authentication
// lasts, the client gives it a fresh token in time (Options.DisableAutoRefresh switches that off).
// RefreshAuthentication does so at once.
//
// # Functions of the application
//
// A panic of a handler, a callback, a token function, a policy or the sequence of an upload is an error
// like others, and so is runtime.Goexit: neither keeps others from running. Results are decoded in the
// goroutine of the caller.
package client
