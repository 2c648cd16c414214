package client

import (
	"context"
	"iter"
	"sync"

	"github.com/carillon-go/carillon/internal/guard"
)

// Upload is an argument that is streamed to the hub while the method runs: see UploadSeq,
// UploadSeq2 and UploadChan. It is not part of the arguments on the wire; the streams of a method
// are numbered separately.
//
// An upload ends when its sequence ends, when its call has completed, when the call's ctx ends, or
// with the connection. The sequence then stops at its next yield. A sequence that blocks forever
// delays Stop until Stop's ctx ends, and Run by Options.CloseTimeout.
type Upload struct {
	each func(ctx context.Context, send func(any) error) error
}

// UploadSeq streams the values of a sequence.
func UploadSeq[T any](seq iter.Seq[T]) Upload {
	return UploadSeq2(func(yield func(T, error) bool) {
		seq(func(item T) bool { return yield(item, nil) })
	})
}

// UploadSeq2 streams the values of a sequence until its first error. The hub's method gets the text
// of the error.
func UploadSeq2[T any](seq iter.Seq2[T, error]) Upload {
	return Upload{each: func(_ context.Context, send func(any) error) error {
		for item, err := range seq {
			if err != nil {
				return err
			}
			if err := send(item); err != nil {
				return err
			}
		}
		return nil
	}}
}

// UploadChan streams the values received from a channel until it is closed. After the end of the
// upload nothing more is received.
func UploadChan[T any](items <-chan T) Upload {
	return Upload{each: func(ctx context.Context, send func(any) error) error {
		for {
			select {
			case item, ok := <-items:
				if !ok {
					return nil
				}
				if err := send(item); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}}
}

// splitUploads separates the uploads from the arguments.
func splitUploads(args []any) (plain []any, uploads []Upload) {
	for _, a := range args {
		if u, ok := a.(Upload); ok {
			uploads = append(uploads, u)
		}
	}
	if uploads == nil {
		return args, nil
	}
	plain = make([]any, 0, len(args)-len(uploads))
	for _, a := range args {
		if _, ok := a.(Upload); !ok {
			plain = append(plain, a)
		}
	}
	return plain, uploads
}

// uploads are the uploads of a run. They may outlive their session if the application's sequence
// blocks.
type uploads struct {
	mu      sync.Mutex
	running sync.WaitGroup
	over    bool
}

// start runs f unless the run has ended: an invocation may have been sent just before the end.
func (u *uploads) start(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.over {
		u.running.Go(f)
	}
}

// end waits for the last upload and prevents others from starting.
func (u *uploads) end() {
	u.mu.Lock()
	u.over = true
	u.mu.Unlock()
	u.running.Wait()
}

// launch starts the uploads of an invocation that was sent.
func (s *session) launch(ctx context.Context, ids []string, uploads []Upload) {
	for i, u := range uploads {
		s.run.uploads.start(func() { s.upload(ctx, ids[i], u) })
	}
}

// uploadOver is the text of the .NET client for the hub's method.
const uploadOver = "Stream canceled by client."

// upload runs an upload of an invocation that was sent.
func (s *session) upload(ctx context.Context, id string, u Upload) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	defer s.run.conn.mark()()
	err := guard.ErrGoexit
	defer func() { s.endUpload(ctx, id, err) }()
	err = guard.Run(func() error {
		return u.each(ctx, func(item any) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			record, err := s.protocol.AppendStreamItem(nil, id, item)
			if err != nil {
				return err
			}
			return s.out.add(ctx, record)
		})
	})
}

// endUpload reports the end of an upload to the server.
func (s *session) endUpload(ctx context.Context, id string, err error) {
	switch {
	case s.ctx.Err() != nil: // the session has ended
	case ctx.Err() != nil:
		s.out.addNow(s.protocol.AppendError(nil, id, uploadOver))
	case err != nil:
		s.out.addNow(s.protocol.AppendError(nil, id, err.Error()))
	default:
		s.out.addNow(s.protocol.AppendVoid(nil, id))
	}
}
