//! One connection, which ends when its other side says too little for too long.

use core::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{future::Future, io};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};

/// Bytes in one direction that count as progress. Whoever drips fewer within the patience that a
/// connection has is hung up on, though no silence of its is long.
const PROGRESS_BYTES: usize = 16 * 1024;

/// How long a connection waits for its other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// Until the direction turns, or that many bytes have gone one way.
    pub(super) idle: Duration,
    /// For all bytes that go one way before the direction turns.
    pub(super) message: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// A connection that fails once its other side stalls. One timer guards headers, bodies, slow
/// readers, drips in either direction and connections kept open for nothing.
pub(super) struct Connection {
    stream: TcpStream,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
    direction: Direction,
    turned_at: Instant,
    moved_bytes: usize,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, patience: Patience, place: OwnedSemaphorePermit) -> Self {
        // As if we had spoken last: the other side's first word turns the direction.
        let turned_at = Instant::now();
        let timer = Box::pin(tokio::time::sleep(patience.idle));
        Self { stream, patience, timer, direction: Direction::Out, turned_at, moved_bytes: 0, _place: place }
    }

    fn moved(&mut self, direction: Direction, bytes: usize) {
        let now = Instant::now();
        if direction != self.direction {
            (self.direction, self.turned_at, self.moved_bytes) = (direction, now, 0);
        } else {
            self.moved_bytes = self.moved_bytes.saturating_add(bytes);
            if self.moved_bytes < PROGRESS_BYTES {
                return;
            }
            self.moved_bytes = 0;
        }
        let deadline = (now + self.patience.idle).min(self.turned_at + self.patience.message);
        self.timer.as_mut().reset(deadline);
    }

    /// Fails once the timer has run out, even while bytes still drip.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &polled {
            self.moved(Direction::In, buf.filled().len() - before);
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &polled {
            self.moved(Direction::Out, *bytes);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(bytes)) = &polled {
            self.moved(Direction::Out, *bytes);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
