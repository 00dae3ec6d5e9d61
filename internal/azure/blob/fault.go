package blob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
)

// serviceError is an answer of the service without its body and its URL: they
// hold what does not belong into a log.
type serviceError struct {
	status        int
	code, request string
}

func (e *serviceError) Error() string {
	s := fmt.Sprintf("storage answered %d %s (request %s)", e.status, e.code, e.request)
	switch {
	case e.status == http.StatusForbidden:
		s += ": does the identity have its data role on the account, and does the firewall let it in?"
	case e.code == string(bloberror.ContainerNotFound):
		s += ": the container is missing"
	case e.code == string(bloberror.BlobArchived):
		s += ": rehydrate the file first"
	}
	return s
}

// explain turns an error of the SDK into one of ours: what was done comes
// first, the context's cause wins, and no URL is in it.
func explain(ctx context.Context, err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	if r, ok := errors.AsType[*azcore.ResponseError](err); ok {
		e := &serviceError{status: r.StatusCode, code: r.ErrorCode, request: "unknown"}
		if r.RawResponse != nil {
			if id := r.RawResponse.Header.Get("x-ms-request-id"); id != "" {
				e.request = id
			}
			if e.code == "" {
				e.code = http.StatusText(r.StatusCode)
			}
		}
		return fmt.Errorf("%s: %w", doing, e)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return fmt.Errorf("%s: storage can't be reached: %w: check that its name resolves here, and that its private endpoint is up", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// status is the HTTP status of a service's answer, else 0.
func status(err error) int {
	if r, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return r.StatusCode
	}
	return 0
}

// missing says whether a record or file does not exist. A missing container
// is something else: a deployment gone wrong, never an empty store.
func missing(err error) bool {
	return status(err) == http.StatusNotFound && !bloberror.HasCode(err, bloberror.ContainerNotFound, bloberror.ContainerBeingDeleted)
}

// refused says whether a condition on the version did not hold.
func refused(err error) bool {
	return status(err) == http.StatusPreconditionFailed || bloberror.HasCode(err, bloberror.BlobAlreadyExists)
}

// refine asks again, without a condition, for a blob that did not meet one:
// a blob that is gone meets none either, and that is another answer.
func (c *Container) refine(ctx context.Context, name string, err error) error {
	if status(err) == http.StatusPreconditionFailed {
		if _, gone := c.client.NewBlobClient(name).GetProperties(ctx, nil); missing(gone) {
			return gone
		}
	}
	return err
}
