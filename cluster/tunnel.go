package cluster

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
)

// tunnel passes on the bytes of a WebSocket after the owner has accepted its handshake. It returns
// when either end has closed it, or ctx ends.
func tunnel(ctx context.Context, w http.ResponseWriter, accepted *http.Response) error {
	owner, ok := accepted.Body.(io.ReadWriteCloser)
	if !ok {
		return errors.ErrUnsupported
	}
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = owner.Close()
	})
	defer stop()
	answer := bufio.NewWriter(client)
	_, _ = answer.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = accepted.Header.Write(answer)
	_, _ = answer.WriteString("\r\n")
	if answer.Flush() != nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(client, owner)
		_ = client.Close()
	}()
	_, _ = io.Copy(owner, rw.Reader)
	_ = owner.Close()
	<-done
	return nil
}
