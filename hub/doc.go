// Package hub is the semantics of SignalR: sessions that turn records into calls
// of typed methods, completions, streams both ways, groups, users, broadcasts,
// results asked from clients, keep-alive and time-outs.
//
// A hub knows nothing of what carries its connections. Whatever does (see
// [Connection]) calls [Hub.Connect], hands what the client sent to
// [Session.Receive] and ends with [Session.Disconnected].
//
// An application registers functions under the names that clients use, and sends
// to clients through a typed [Context], from methods and from anywhere else:
//
//	h := hub.New(hub.Options{})
//	chats := hub.NewContext(h, newChatProxy)
//	h.Handle("Say", hub.Action1(func(ctx context.Context, text string) error {
//		return chats.Clients().Others(ctx).Said(ctx, text)
//	}))
package hub
