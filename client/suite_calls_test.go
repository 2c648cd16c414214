package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func echoes(r *rig) {
	c := r.connect("/testhub")
	for _, text := range []string{
		"", " ", `quote " backslash \ slash / <b>&amp;'</b> +%20?=&`, "line\nfeed\r\ncarriage\rreturn\ttab\x1e\x00",
		"data: x\n\ndata: y\r\n\r\n", "日本語 😀 👨‍👩‍👧‍👦 \ufeff\u2028\u2029", `{"type":7}`,
	} {
		r.echo(c, text)
	}
	for _, n := range []int{125, 126, 127, 4095, 4096, 4097, 16384, 30000} {
		r.echo(c, strings.Repeat("x", n))
	}
	null, err := Invoke[*string](r.within(), c, "Echo", nil)
	if err != nil || null != nil {
		r.Errorf("Echo(nil): %v, %v", null, err)
	}
}

type complexObject struct {
	String    string
	IntArray  []int
	ByteArray []byte
	Guid      string
	DateTime  time.Time
}

func complexObjects(r *rig) {
	c := r.connect("/testhub")
	want := complexObject{
		String: "hello world", IntArray: []int{1, 2, 3}, ByteArray: []byte{1, 2, 3},
		Guid: "00010203-0405-0607-0706-050403020100", DateTime: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	same := func(got complexObject, err error) {
		r.Helper()
		if err != nil || got.String != want.String || !slices.Equal(got.IntArray, want.IntArray) || !slices.Equal(got.ByteArray, want.ByteArray) ||
			got.Guid != want.Guid || !got.DateTime.Equal(want.DateTime) {
			r.Errorf("got %+v, %v", got, err)
		}
	}
	same(Invoke[complexObject](r.within(), c, "SendComplexObject"))
	want.DateTime = time.Date(2026, 2, 28, 23, 59, 59, 999999900, time.UTC)
	same(Invoke[complexObject](r.within(), c, "EchoComplexObject", want))
}

func results(r *rig) {
	c := r.connect("/testhub")
	if err := c.Invoke(r.within(), "InvokeWithString", "x"); err != nil {
		r.Errorf("a method without a result: %v", err)
	}
	if v, err := Invoke[any](r.within(), c, "InvokeWithString", "x"); err != nil || v != nil {
		r.Errorf("a method without a result, as any: %v, %v", v, err)
	}
	if err := c.Invoke(r.within(), "Echo", "ignored"); err != nil {
		r.Errorf("a result that is ignored: %v", err)
	}
	if n, err := Invoke[int](r.within(), c, "Echo", "no int"); err == nil {
		r.Errorf("a string as an int: %v", n)
	}
	r.echo(c, "still")
}

func hubErrors(r *rig) {
	c := r.connect("/testhub")
	r.hubError(c.Invoke(r.within(), "ThrowException", "test error"), "An unexpected error occurred invoking 'ThrowException' on the server. InvalidOperationException: test error")
	r.hubError(c.Invoke(r.within(), "NoSuchMethod"), "Failed to invoke 'NoSuchMethod' due to an error on the server. HubException: Method does not exist.")
	r.hubError(c.Invoke(r.within(), "Echo"), "Failed to invoke 'Echo' due to an error on the server. InvalidDataException: Invocation provides 0 argument(s) but target expects 1.")
	r.hubError(c.Invoke(r.within(), "Stream"), "The client attempted to invoke the streaming 'Stream' method with a non-streaming invocation.")
	_, err := collect(Stream[string](r.within(), c, "Echo", "x"))
	r.hubError(err, "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.")
	if err := c.Invoke(r.within(), "Echo", make(chan int)); err == nil {
		r.Error("an argument that cannot be encoded was sent")
	}
	if err := c.Send(r.within(), "NoSuchMethod"); err != nil {
		r.Errorf("Send to no method: %v", err)
	}
	r.echo(c, "still")
}

func order(r *rig) {
	const n = 500
	c := r.open(r.server+"/testhub", r.options())
	got := make(chan string, n)
	c.On("Message", Action1(func(_ context.Context, s string) error { got <- s; return nil }))
	r.start(c)
	for i := range n {
		if err := c.Send(r.within(), "InvokeWithString", strconv.Itoa(i)); err != nil {
			r.Fatal(err)
		}
	}
	for i := range n {
		if s := receive(r, "a message", got); s != strconv.Itoa(i) {
			r.Fatalf("message %d is %s", i, s)
		}
	}
}

func callsAtOnce(r *rig) {
	c := r.connect("/testhub")
	answers := make(chan error, 200)
	for i := range cap(answers) {
		go func() {
			want := fmt.Sprint(i, strings.Repeat("p", i))
			got, err := Invoke[string](r.within(), c, "Echo", want)
			if err == nil && got != want {
				err = fmt.Errorf("got %q, want %q", got, want)
			}
			answers <- err
		}()
	}
	for range cap(answers) {
		if err := <-answers; err != nil {
			r.Error(err)
		}
	}
}

func handlersRun(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	got := make(chan string, 20)
	on := func(mark string) func() {
		return c.On("Message", Action1(func(_ context.Context, s string) error { got <- mark + s; return nil }))
	}
	on("1")
	remove := on("2")
	c.On("message", Action1(func(_ context.Context, s string) error { panic("a handler that panics at " + s) }))
	c.On("Message", Action2(func(_ context.Context, _, _ string) error { got <- "wrong arity"; return nil }))
	c.On("Message", ActionAny(func(_ context.Context, args []any) error { got <- fmt.Sprint("3", args[0]); return nil }))
	r.start(c)
	invoke := func(s string) {
		if err := c.Invoke(r.within(), "InvokeWithString", s); err != nil {
			r.Fatal(err)
		}
	}
	expect := func(want ...string) {
		r.Helper()
		for _, w := range want {
			if g := receive(r, w, got); g != w {
				r.Fatalf("got %s, want %s", g, w)
			}
		}
	}
	invoke("a")
	expect("1a", "2a", "3a")
	remove()
	invoke("b")
	expect("1b", "3b")
	c.OnUnhandled(func(_ context.Context, method string, args []any) error {
		got <- fmt.Sprint(method, len(args))
		return nil
	})
	if err := c.Invoke(r.within(), "SendCustomObject", map[string]any{"Name": "n", "Value": 1}); err != nil {
		r.Fatal(err)
	}
	expect("CustomObject1")
}

func handlerCalls(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	got := make(chan string, 1)
	c.On("Message", Action1(func(ctx context.Context, s string) error {
		answer, err := Invoke[string](ctx, c, "Echo", s+" and back")
		got <- answer
		return err
	}))
	r.start(c)
	if err := c.Send(r.within(), "InvokeWithString", "there"); err != nil {
		r.Fatal(err)
	}
	if s := receive(r, "the echo within the handler", got); s != "there and back" {
		r.Errorf("got %q", s)
	}
}

func streamsDown(r *rig) {
	c := r.connect("/testhub")
	all, err := collect(Stream[string](r.within(), c, "Stream"))
	if err != nil || strings.Join(all, "") != "abc" {
		r.Errorf("Stream: %q, %v", all, err)
	}
	none, err := collect(Stream[int](r.within(), c, "EmptyStream"))
	if err != nil || len(none) != 0 {
		r.Errorf("EmptyStream: %v, %v", none, err)
	}
	_, err = collect(Stream[string](r.within(), c, "StreamThrowException", "test error"))
	r.hubError(err, "An unexpected error occurred invoking 'StreamThrowException' on the server. InvalidOperationException: test error")
	if _, err := collect(Stream[int](r.within(), c, "Stream")); err == nil {
		r.Error("strings were taken for ints")
	}
	for item := range Stream[string](r.within(), c, "Stream") {
		r.echo(c, "within a stream, "+item)
	}
	r.echo(c, "still")
}

func streamCancelled(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	seen := make(chan struct{}, 2)
	c.On("StreamCanceled", Action0(func(context.Context) error { seen <- struct{}{}; return nil }))
	r.start(c)
	ctx, cancel := context.WithCancel(r.within())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := collect(Stream[string](ctx, c, "InfiniteStream"))
		ended <- err
	}()
	r.until("the loop waits", func() bool {
		b := c.session.Load().run.budget
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.waiters > 0
	})
	cancel()
	if err := receive(r, "the end of the stream", ended); !errors.Is(err, context.Canceled) {
		r.Errorf("the cancelled stream: %v", err)
	}
	receive(r, "StreamCanceled", seen)
	r.echo(c, "still")
}

func streamsUp(r *rig) {
	c := r.connect("/testhub")
	items := []string{"hello", " ", "world", "", "!"}
	concat := func(u Upload) {
		r.Helper()
		got, err := Invoke[string](r.within(), c, "StreamingConcat", u)
		if err != nil || got != "hello world!" {
			r.Errorf("StreamingConcat: %q, %v", got, err)
		}
	}
	concat(UploadSeq(slices.Values(items)))
	concat(UploadSeq2(func(yield func(string, error) bool) {
		for _, s := range items {
			if !yield(s, nil) {
				return
			}
		}
	}))
	ch := make(chan string)
	go func() {
		defer close(ch)
		for _, s := range items {
			ch <- s
		}
	}()
	concat(UploadChan(ch))
	many, err := Invoke[string](r.within(), c, "StreamingConcat", UploadSeq(slices.Values(slices.Repeat([]string{strings.Repeat("x", 999)}, 200))))
	if err != nil || len(many) != 999*200 {
		r.Errorf("StreamingConcat of 200 KB: %d, %v", len(many), err)
	}
}

func uploadFails(r *rig) {
	c := r.connect("/testhub")
	_, err := Invoke[string](r.within(), c, "StreamingConcat", UploadSeq2(func(yield func(string, error) bool) {
		_ = yield("a", nil) && yield("", errors.New("the upload failed"))
	}))
	r.hubError(err, "An unexpected error occurred invoking 'StreamingConcat' on the server. HubException: the upload failed")
	r.echo(c, "still")
}

func uploadCancelled(r *rig) {
	c := r.connect("/testhub")
	items := make(chan string)
	ctx, cancel := context.WithCancel(r.within())
	result := make(chan error, 1)
	go func() { result <- c.Invoke(ctx, "StreamingConcat", UploadChan(items)) }()
	items <- "a"
	cancel()
	if err := receive(r, "the cancelled call", result); !errors.Is(err, context.Canceled) {
		r.Errorf("the cancelled call: %v", err)
	}
	r.echo(c, "still")
}

func clientResults(r *rig) {
	c := r.connect("/testhub")
	r.echo(c, "registered") // the original finds a connection by its id only after its handshake's answer
	ask := func() string { return r.get("/clientresult/" + c.ConnectionID()) }
	if got := ask(); got != noResult {
		r.Errorf("without a handler: %q", got)
	}
	c.On("Result", Action0(func(context.Context) error { return nil }))
	if got := ask(); got != noResult {
		r.Errorf("with a handler that gives none: %q", got)
	}
	var value func(context.Context) (int, error)
	c.On("Result", Func0(func(ctx context.Context) (int, error) { return value(ctx) }))
	value = func(context.Context) (int, error) { return 0, errors.New("from callback") }
	if got := ask(); got != "from callback" {
		r.Errorf("a handler that fails: %q", got)
	}
	value = func(context.Context) (int, error) { panic("at the disco") }
	if got := ask(); got != handlerFailed {
		r.Errorf("a handler that panics: %q", got)
	}
	value = func(context.Context) (int, error) { return 0, (*HTTPError)(nil) }
	if got := ask(); got != handlerFailed {
		r.Errorf("a handler whose error is a nil pointer: %q", got)
	}
	value = func(ctx context.Context) (int, error) {
		_, err := Invoke[string](ctx, c, "Echo", "meanwhile")
		return -7, err
	}
	if got := ask(); got != "-7" {
		r.Errorf("got %q, want -7", got)
	}
}

func inFlight(r *rig) {
	c := r.connect("/testhub")
	items := make(chan string)
	calls := make(chan error, 2)
	go func() { calls <- c.Invoke(r.within(), "StreamingConcat", UploadChan(items)) }()
	items <- "x"
	go func() {
		_, err := collect(Stream[string](r.within(), c, "InfiniteStream"))
		calls <- err
	}()
	r.echo(c, "y")
	if err := c.Stop(r.within()); err != nil {
		r.Errorf("Stop: %v", err)
	}
	for range 2 {
		err := receive(r, "the end of a call in flight", calls)
		stopped := errors.Is(err, ErrConnectionLost) && errors.Is(err, ErrStopped)
		if !stopped && !errors.Is(err, ErrNotConnected) {
			r.Errorf("a call in flight ended with %v", err)
		}
	}
}

func callCancelled(r *rig) {
	c := r.connect("/lab")
	ctx, cancel := context.WithCancel(r.within())
	started := make(chan string, 1)
	c.On("Started", Action1(func(_ context.Context, s string) error { started <- s; return nil }))
	result := make(chan error, 1)
	go func() { result <- c.Invoke(ctx, "SendThenWait", 1_000, "s") }()
	receive(r, "the start of the method", started)
	cancel()
	if err := receive(r, "the cancelled call", result); !errors.Is(err, context.Canceled) {
		r.Errorf("the cancelled call: %v", err)
	}
	if got, err := Invoke[string](r.within(), c, "Text", "still"); err != nil || got != "still" {
		r.Errorf("Text: %q, %v", got, err)
	}
}
