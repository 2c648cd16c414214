package cluster

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// tunnel passes on the bytes of a WebSocket after the owner has accepted its handshake. It returns
// when either end has closed it or does not read, or when ctx ends.
func tunnel(ctx context.Context, w http.ResponseWriter, accepted *http.Response) error {
	owner, ok := accepted.Body.(io.ReadWriteCloser)
	if !ok {
		return errors.ErrUnsupported
	}
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	cut := func() {
		_ = client.Close()
		_ = owner.Close()
	}
	defer cut()
	defer context.AfterFunc(ctx, cut)()
	answer := bufio.NewWriter(client)
	_, _ = answer.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = accepted.Header.Write(answer)
	_, _ = answer.WriteString("\r\n")
	if answer.Flush() != nil {
		return nil
	}
	var answers sync.WaitGroup
	answers.Go(func() { passBytes(client, owner, cut) })
	passBytes(owner, rw.Reader, cut)
	answers.Wait()
	return nil
}

// passBytes passes on the bytes of one direction, and calls cut at the end, or when a write takes
// longer than writeTimeout: an end that does not read keeps the tunnel no longer than that.
func passBytes(to io.Writer, from io.Reader, cut func()) {
	defer cut()
	late := time.AfterFunc(writeTimeout, cut)
	late.Stop() // until a write begins
	_, _ = io.Copy(timedWriter{to, late}, from)
}

// timedWriter lets a timer run during each write.
type timedWriter struct {
	io.Writer
	late *time.Timer
}

func (w timedWriter) Write(b []byte) (int, error) {
	w.late.Reset(writeTimeout)
	defer w.late.Stop()
	return w.Writer.Write(b)
}
