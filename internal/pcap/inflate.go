package pcap

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
)

// Limits on what a compressed file may grow into. Deflate reaches 1:1032 on
// zeros and real captures rarely pass 1:50, so a long run beyond 1:200 is
// an attack on whoever unpacks it.
const (
	maxInflated      = 16 << 30 // bytes
	maxInflateRatio  = 200
	inflateRatioFrom = 16 << 20 // bytes that may come out before the ratio counts
)

func isGzip(head []byte) bool { return len(head) > 2 && head[0] == 0x1f && head[1] == 0x8b }

// An inflater decompresses gzip within limits.
type inflater struct {
	gz  *gzip.Reader
	in  *countingReader
	out int64
	err error // how it ended, if not at the end of the data
}

func newInflater(src io.Reader, in *countingReader) (*inflater, error) {
	gz, err := gzip.NewReader(src)
	if err != nil {
		return nil, err
	}
	return &inflater{gz: gz, in: in}, nil
}

func (f *inflater) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.gz.Read(p)
	f.out += int64(n)
	switch {
	case f.out > maxInflated:
		err = &FormatError{Bomb: true, Damage: "it unpacks to more than 16 GiB; unpack and split it"}
	case f.out > inflateRatioFrom && f.out/maxInflateRatio > f.in.n:
		err = &FormatError{Bomb: true, Damage: "it unpacks to more than 200 times its size"}
	case err == io.ErrUnexpectedEOF && !f.in.failed():
		err = errCut
	case errors.Is(err, gzip.ErrHeader) && f.out > 0:
		err = io.EOF // padding after the last member, as tar and tapes leave it
	case errors.Is(err, gzip.ErrChecksum), isCorrupt(err):
		err = &FormatError{Damage: "the compressed data is corrupt"}
	}
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

func isCorrupt(err error) bool {
	_, ok := errors.AsType[flate.CorruptInputError](err)
	return ok
}
