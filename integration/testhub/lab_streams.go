package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/hub"
)

func (l lab) handleStreams(h *hub.Hub) {
	h.Handle("Count", hub.Stream2(count))
	h.Handle("CountThenFail", hub.Stream2(func(_ context.Context, n int, asHub bool) (iter.Seq2[int, error], error) {
		if asHub {
			return countThen(n, hub.NewError("stream hub")), nil
		}
		return countThen(n, invalidOperation("stream plain")), nil
	}))
	h.Handle("ChannelThenFail", hub.Stream1(func(_ context.Context, n int) (iter.Seq2[int, error], error) {
		return countThen(n, invalidOperation("channel plain")), nil
	}))
	h.Handle("TaskChannelFail", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) {
		return nil, invalidOperation("task channel")
	}))
	h.Handle("NullStream", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { return nil, nil }))
	h.Handle("StreamUnserialisable", hub.Stream0(func(context.Context) (iter.Seq2[any, error], error) {
		return items[any](1, math.NaN()), nil
	}))
}

// count streams the numbers below n, ms milliseconds apart.
func count(ctx context.Context, n, ms int) (iter.Seq2[int, error], error) {
	return func(yield func(int, error) bool) {
		for i := range n {
			if ms > 0 {
				select {
				case <-time.After(time.Duration(ms) * time.Millisecond):
				case <-ctx.Done():
					return
				}
			}
			if !yield(i, nil) {
				return
			}
		}
	}, nil
}

// countThen streams the numbers below n, then fails.
func countThen(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		yield(0, err)
	}
}

func (l lab) handleUploads(h *hub.Hub) {
	h.Handle("Upload", hub.Func1(upload))
	h.Handle("UploadTwo", hub.Func3(func(_ context.Context, a hub.Upload[int32], between *string, b hub.Upload[*string]) (string, error) {
		n, err := length(a)
		if err != nil {
			return "", err
		}
		m, err := length(b)
		return fmt.Sprintf("%d%s%d", n, text(between), m), err
	}))
	h.Handle("Double2", hub.Stream1(func(_ context.Context, numbers hub.Upload[int32]) (iter.Seq2[int32, error], error) {
		return func(yield func(int32, error) bool) {
			for n, err := range numbers.All() {
				if !yield(2*n, err) {
					return
				}
			}
		}, nil
	}))
	h.Handle("UploadIgnored", hub.Func1(func(context.Context, hub.Upload[int32]) (string, error) { return "not read", nil }))
	h.Handle("UploadSlow", hub.Func2(func(_ context.Context, numbers hub.Upload[int32], ms int) (int, error) {
		<-time.After(time.Duration(ms) * time.Millisecond)
		return length(numbers)
	}))
}

// upload joins the numbers with commas. An error of the stream is the last element.
func upload(_ context.Context, numbers hub.Upload[int32]) (string, error) {
	var got []string
	for n, err := range numbers.All() {
		if err != nil {
			got = append(got, typeName(err)+": "+err.Error())
			break
		}
		got = append(got, strconv.Itoa(int(n)))
	}
	return strings.Join(got, ","), nil
}

// typeName returns the .NET name of an error's type.
func typeName(err error) string {
	var named interface{ ErrorType() string }
	if errors.As(err, &named) {
		return named.ErrorType()
	}
	return "Exception"
}

func length[T any](items hub.Upload[T]) (n int, err error) {
	for _, err := range items.All() {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
