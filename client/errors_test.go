package client

import (
	"errors"
	"testing"
)

// errorTexts: HubError.Text finds the exception's own text, whether the server has detailed errors or not.
func errorTexts(r *rig) {
	type want struct {
		detailed, plain string // "": the whole message
		fromHub         bool
	}
	calls := []struct {
		call   []any
		stream bool
		want   want
	}{
		{[]any{"FailHub", "hub's text"}, false, want{"hub's text", "hub's text", true}},
		{[]any{"failHub", "with: a colon"}, false, want{"with: a colon", "with: a colon", true}},
		{[]any{"Fail", "a secret"}, false, want{"a secret", "", false}},
		{[]any{"Fail", "HubException: a lie"}, false, want{"HubException: a lie", "", false}},
		{[]any{"NoSuchMethod"}, false, want{"Method does not exist.", "Method does not exist.", false}},
		{[]any{"Integer"}, false, want{"Invocation provides 0 argument(s) but target expects 1.", "", false}},
		{[]any{"Count", 1, 0}, false, want{}},
		{[]any{"CountThenFail", 1, true}, true, want{"stream hub", "stream hub", true}},
		{[]any{"CountThenFail", 1, false}, true, want{"stream plain", "", false}},
		{[]any{"TaskChannelFail"}, true, want{"task channel", "", false}},
	}
	for path, detailed := range map[string]bool{"/lab": true, "/lab-plain": false} {
		c := r.connect(path)
		for _, call := range calls {
			err := c.Invoke(r.within(), call.call[0].(string), call.call[1:]...)
			if call.stream {
				_, err = collect(Stream[int](r.within(), c, call.call[0].(string), call.call[1:]...))
			}
			answer := new(HubError)
			if !errors.As(err, &answer) {
				r.Fatalf("%s: %v: %v", path, call.call, err)
			}
			want := call.want.plain
			if detailed {
				want = call.want.detailed
			}
			if want == "" {
				want = answer.Message
			}
			if text, fromHub := answer.Text(); text != want || fromHub != call.want.fromHub {
				r.Errorf("%s: %v failed with %q, text %q, from the hub %t; want %q", path, call.call, err, text, fromHub, want)
			}
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- New(r.server+"/lab-onconnect?fail", r.options()).Run(r.within()) }()
	closed := new(CloseError)
	if err := receive(r, "the end", ended); !errors.As(err, &closed) {
		r.Fatalf("the refused connection ended with %v", err)
	}
	if text, fromHub := closed.Text(); text != "not you" || !fromHub {
		r.Errorf("the refused connection ended with %q, text %q, from the hub %t", closed.Message, text, fromHub)
	}
}

// TestTextOfOtherErrors: a text without an exception stays as it is.
func TestTextOfOtherErrors(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		"",
		"a server of another kind: HubException: x",
		"An unexpected error occurred invoking 'M' on the server.",
		"An unexpected error occurred invoking 'M' on the server. No exception.",
		"An unexpected error occurred invoking 'M",
		"An error occurred on the server while streaming results.",
		"Connection closed with an error.",
	} {
		if text, fromHub := (&HubError{Message: message}).Text(); text != message || fromHub {
			t.Errorf("%q has the text %q, from the hub %t", message, text, fromHub)
		}
	}
}
