// Package hub implements the semantics of SignalR: sessions turn records into calls of
// typed methods. The hub handles completions, streams in both directions, groups, users,
// broadcasts, client results, keep-alive and timeouts.
//
// An application registers functions under the names that clients use. It sends to
// clients through a typed [Context], from methods and from any other code:
//
//	h := hub.New(hub.Options{})
//	chats := hub.NewContext(h, newChatProxy)
//	h.Handle("Say", hub.Action1(func(ctx context.Context, text string) error {
//		return chats.Clients().Others(ctx).Said(ctx, text)
//	}))
//
// Command carillon-gen writes newChatProxy and the registration from two interfaces.
// Package endpoint serves the hub over HTTP, and package hubtest tests it.
//
// A hub does not depend on the transport of its connections. The transport calls
// [Hub.Connect], passes received data to [Session.Receive] and finally calls
// [Session.Disconnected]. Applications need none of that, nor [Connection] and
// [Backplane].
package hub
