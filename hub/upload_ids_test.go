package hub_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
)

func inUse(id, method, upload string) string {
	return failed(id, "An unexpected error occurred invoking '"+method+"' on the server. HubException: Stream ID '"+upload+"' is already in use.")
}

func streamWith(id, target, streamIDs string) string {
	return fmt.Sprintf(`{"type":4,"invocationId":%q,"target":%q,"arguments":[],"streamIds":[%s]}`, id, target, streamIDs)
}

func TestUploadIDsInUse(t *testing.T) {
	for _, step := range []struct {
		name string
		sent []string
		got  []string
	}{
		{"twice in one call", []string{callWith("1", "UploadTwo", `"-"`, `"7","7"`), item("7", "1"), end("7")},
			[]string{inUse("1", "UploadTwo", "7")}},
		{"free after that", []string{callWith("1", "UploadTwo", `"-"`, `"7","7"`), callWith("2", "Concat", "", `"7"`), item("7", `"a"`), end("7")},
			[]string{inUse("1", "UploadTwo", "7"), result("2", `"a"`)}},
		{"of a stream, by a stream", []string{streamWith("1", "Double", `"u"`), streamWith("2", "Double", `"u"`), item("u", "1"), end("u")},
			[]string{inUse("2", "Double", "u"), item("1", "2"), end("1")}},
		{"of a stream, by a plain invocation", []string{streamWith("1", "Double", `"u"`), callWith("2", "Upload", "", `"u"`), item("u", "1"), end("u")},
			[]string{inUse("2", "Upload", "u"), item("1", "2"), end("1")}},
		{"of a plain invocation, by a stream", []string{callWith("1", "Upload", "", `"u"`), streamWith("2", "Double", `"u"`), item("u", "1"), end("u")},
			[]string{inUse("2", "Double", "u"), result("1", `"1"`)}},
		{"by a stream whose id is in use too", []string{streamWith("1", "Double", `"u"`), streamWith("1", "Double", `"u"`), item("u", "1"), end("u")},
			[]string{inUse("1", "Double", "u"), item("1", "2"), end("1")}},
		{"the end comes twice, and an item after it", []string{callWith("1", "Upload", "", `"u"`), end("u"), end("u"), item("u", "1")},
			[]string{result("1", `""`)}},
		{"taken by no call", []string{item("u", "1"), end("u"), callWith("1", "Upload", "", `"u"`), end("u")},
			[]string{result("1", `""`)}},
	} {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			c := detailed(t)
			for range 20 {
				c.send(step.sent...)
				c.want(step.got...)
			}
			c.send(call("9", "Text", `"x"`))
			c.want(result("9", `"x"`))
		})
	}
}

// A refused call takes none of its ids, and the call that has one of them keeps it.
func TestRefusedCallTakesNoUploadIDs(t *testing.T) {
	c := detailed(t)
	c.send(callWith("1", "Upload", "", `"u"`), callWith("2", "UploadTwo", `"-"`, `"v","u"`), callWith("3", "Upload", "", `"u","v"`))
	c.wantInAnyOrder(inUse("2", "UploadTwo", "u"),
		failed("3", "An unexpected error occurred invoking 'Upload' on the server. HubException: Client sent 2 stream(s), Hub method expects 1."))
	c.send(callWith("3", "Upload", "", `"v"`), item("v", "9"), end("v"))
	c.want(result("3", `"9"`))
	c.send(item("u", "1"), end("u"))
	c.want(result("1", `"1"`))
}

// A call with an upload and no id of its own is not told, and takes nothing from the first.
func TestUploadIDInUseByACallWithoutAnID(t *testing.T) {
	c := detailed(t)
	c.send(callWith("1", "Upload", "", `"u"`), `{"type":1,"target":"Upload","arguments":[],"streamIds":["u"]}`, item("u", "1"), end("u"))
	c.want(result("1", `"1"`))
}

func TestUploadIDIsFreeOnceTheClientHasEndedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		c.send(callWith("1", "UploadSlow", "1000", `"u"`), item("u", "1"), end("u"), callWith("2", "Upload", "", `"u"`), item("u", "2"), item("u", "3"), end("u"))
		c.want(result("2", `"2,3"`), result("1", "1"))
	})
}

// The authorization is application code that may take its time; messages that come right
// behind a refused call find its ids free.
func TestUploadIDsOfRefusedCallsAreFree(t *testing.T) {
	h := newLab(hub.Options{DetailedErrors: true})
	allow := func(context.Context, *auth.User) error {
		<-time.After(time.Millisecond)
		return nil
	}
	refuse := func(ctx context.Context, u *auth.User) error {
		_ = allow(ctx, u)
		return auth.ErrForbidden
	}
	concat := func(_ context.Context, items hub.Upload[string]) (string, error) {
		return fmt.Sprint(count(items)), nil
	}
	h.Handle("Refused", hub.Func1(concat).Authorize(refuse))
	h.Handle("Allowed", hub.Func1(concat).Authorize(allow))
	h.Handle("Panics", hub.Func1(concat).Authorize(func(ctx context.Context, u *auth.User) error { panic(refuse(ctx, u)) }))
	c := connect(t, h, clientOptions{user: "ann"})
	for range 50 {
		c.send(callWith("1", "Refused", "", `"u"`), callWith("2", "Upload", "", `"u"`), item("u", "1"), end("u"))
		c.wantInAnyOrder(failed("1", "Failed to invoke 'Refused' because user is unauthorized"), result("2", `"1"`))
		c.send(callWith("1", "Panics", "", `"u"`), callWith("2", "Upload", "", `"u"`), item("u", "1"), end("u"))
		c.wantInAnyOrder(failed("1", "An unexpected error occurred invoking 'Panics' on the server. Exception: panic: auth: the user is not allowed to do this"), result("2", `"1"`))
		c.send(callWith("1", "Allowed", "", `"u"`), callWith("2", "Upload", "", `"u"`), item("u", `"a"`), end("u"))
		c.wantInAnyOrder(inUse("2", "Upload", "u"), result("1", `"1"`))
		c.send(callWith("1", "Upload", `"one too many"`, `"u"`), callWith("2", "Nope", "", `"u"`), callWith("3", "Upload", "", `"u"`), item("u", "1"), end("u"))
		c.next()
		c.next()
		c.want(result("3", `"1"`))
	}
}

// A client that leaves is not kept by the authorization of a call that holds an id.
func TestTheEndOfAConnectionDoesNotWaitForAnUploadID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		h.Handle("Slow", hub.Action1(func(context.Context, hub.Upload[int]) error { return nil }).Authorize(func(ctx context.Context, _ *auth.User) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		c := connect(t, h, clientOptions{user: "ann"})
		c.send(callWith("1", "Slow", "", `"u"`), callWith("2", "Upload", "", `"u"`))
		synctest.Wait()
		c.close()
	})
}

// Streams that wait for their uploads end when they are cancelled, so that the limit of
// streams is not used up.
func TestCancelledStreamsThatWaitForTheirUploads(t *testing.T) {
	c := connect(t, newLab(hub.Options{DetailedErrors: true, MaxStreams: 4}), clientOptions{})
	for range 100 {
		c.send(streamWith("1", "Double", `"u"`), item("u", "1"))
		c.want(item("1", "2"))
		c.send(cancel("1"), item("u", "2"), end("u"))
		c.want(end("1"))
		c.send(callWith("2", "Concat", "", `"u"`), cancel("2"), item("u", `"late"`))
		c.want(failed("2", "An unexpected error occurred invoking 'Concat' on the server. Exception: context canceled"))
	}
}

// The id of a cancelled call's upload is free at once, also while its method goes on.
func TestUploadIDOfACancelledCallIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		leave := make(chan struct{})
		h.Handle("Stay", hub.Stream1(func(context.Context, hub.Upload[int]) (iter.Seq2[int, error], error) {
			<-leave
			return func(func(int, error) bool) {}, nil
		}))
		c := connect(t, h, clientOptions{})
		c.send(streamWith("1", "Stay", `"u"`), cancel("1"), callWith("2", "Upload", "", `"u"`), item("u", "3"), end("u"))
		c.want(result("2", `"3"`))
		close(leave)
		c.want(end("1"))
	})
}

// A shutdown cancels streams, those too that wait for their uploads.
func TestShutdownEndsStreamsThatWaitForTheirUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		c := connect(t, h, clientOptions{})
		c.send(streamWith("1", "Double", `"u"`), item("u", "1"))
		c.want(item("1", "2"))
		go func() { _ = h.Shutdown(context.WithoutCancel(t.Context())) }()
		c.want(end("1"))
		c.wantHangUp()
	})
}
