//! A connection between a device and the broker: simulated TCP, the access network's latency, and a simulated TLS
//! handshake.
//!
//! **TLS is simulated.** No TLS record crosses the wire. Right after the TCP connect, the client sends one preamble
//! with the id of its certificate, and the server answers with one byte once it accepts it. Together with the TCP
//! handshake that costs two round trips before the first MQTT packet, as TLS 1.3 does. A refused certificate closes the
//! connection.
//!
//! **Latency and faults** are the device's end's: see `access`.
//!
//! **Flushes.** madsim's `TcpStream` sends a packet at every flush, even when nothing was written, and empty packets
//! make two ends wake each other for ever. Here a flush follows a write, and writes of one step share one flush.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use madsim::net::TcpStream;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::access::Access;
use super::fates::Fates;
use super::network::Line;
use crate::world::clock;
use crate::world::seed::Rng;

/// First bytes of the simulated handshake.
const CLIENT_HELLO: &[u8] = b"orrery-tls:";
/// Length of a certificate's id: 64 hexadecimal digits.
const CERTIFICATE_ID_BYTES: usize = 64;
/// The server's answer to a certificate that it accepts.
const SERVER_HELLO: u8 = b'+';
/// Bytes taken from the stream at a time.
pub(super) const CHUNK_BYTES: usize = 2_048;

/// The stream, shared by the reading and the writing half.
pub(super) struct Link {
    stream: Option<TcpStream>,
    corked: bool,
    dirty: bool,
    reader: Option<Waker>,
}

impl Link {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let Some(stream) = &mut self.stream else { return };
        // madsim takes all bytes at once into a buffer.
        let written = Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), bytes);
        debug_assert!(matches!(written, Poll::Ready(Ok(n)) if n == bytes.len()), "{written:?}");
        self.dirty = true;
        if !self.corked {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        if std::mem::take(&mut self.dirty)
            && let Poll::Ready(Err(_)) = Pin::new(stream).poll_flush(&mut Context::from_waker(Waker::noop()))
        {
            self.shut();
        }
    }

    /// Ends the connection after what was written before, and lets the reading half see it.
    fn shut(&mut self) {
        self.flush();
        self.stream = None;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Reads into `chunk`; 0 bytes mean the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, chunk: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(0)) };
        let mut buf = ReadBuf::new(chunk);
        let read = Pin::new(stream).poll_read(cx, &mut buf);
        if read.is_pending() && !self.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.reader = Some(cx.waker().clone());
        }
        ready!(read)?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

pub(super) fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().expect("one thread runs the simulation, and a panic in it ends the run")
}

/// A connection that its device has forgotten and the broker has not heard of: open until the broker ends it.
pub(super) struct Ghost(TcpStream);

impl Ghost {
    /// Whether the broker has ended it. What the broker says meanwhile is lost.
    pub(super) fn has_ended(&mut self) -> bool {
        loop {
            let mut chunk = [0; CHUNK_BYTES];
            let mut buf = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.0).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return true,
            }
        }
    }
}

/// One end of a connection. Dropping it closes the connection.
pub struct Conn {
    link: Arc<Mutex<Link>>,
    access: Option<Box<Access>>,
}

impl Conn {
    fn new(stream: TcpStream, access: Option<Box<Access>>) -> Self {
        let link = Link { stream: Some(stream), corked: false, dirty: false, reader: None };
        Conn { link: Arc::new(Mutex::new(link)), access }
    }

    /// The broker's end of a connection.
    pub fn accepted(stream: TcpStream) -> Self {
        Conn::new(stream, None)
    }

    /// Opens a device's end: TCP and the simulated TLS handshake with the certificate's id, under the device's faults.
    pub(super) async fn connect(
        broker: SocketAddr,
        certificate_id: &str,
        line: Line,
        rng: Rng,
        fates: Option<Arc<Fates>>,
    ) -> io::Result<Conn> {
        let now = clock::now();
        let mut access = Box::new(Access::new(now, line, rng, fates));
        clock::sleep(access.round_trip(now)).await;
        if access.nameless(now) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the broker's name is not found"));
        }
        poll_fn(|cx| access.poll_open(cx)).await;
        let stream = TcpStream::connect(broker).await?;
        let mut conn = Conn::new(stream, Some(access));
        let mut hello = Some(Bytes::from([CLIENT_HELLO, certificate_id.as_bytes()].concat()));
        let mut answer = Vec::new();
        let ended = poll_fn(|cx| {
            if let Some(hello) = hello.take() {
                conn.send(cx, hello);
            }
            match conn.poll_receive(cx, |chunk| answer.extend_from_slice(chunk)) {
                Poll::Pending if answer.is_empty() => Poll::Pending,
                Poll::Pending => Poll::Ready(false),
                Poll::Ready(_) => Poll::Ready(true),
            }
        });
        if ended.await || answer != [SERVER_HELLO] {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server refused the handshake"));
        }
        Ok(conn)
    }

    /// Closes the connection. The broker does not hear of it while nothing reaches it: then a ghost stays.
    pub(super) fn close(mut self) -> Option<Ghost> {
        let now = clock::now();
        let cut_off = self.access.as_mut().is_some_and(|access| access.cut_off(now));
        if cut_off { self.abandon() } else { None }
    }

    /// Whether the network has dropped the connection.
    pub(super) fn is_dropped(&self) -> bool {
        self.access.as_ref().is_some_and(|access| access.is_dropped(clock::now()))
    }

    /// Leaves the connection as a device without power does: nothing is said any more, not even a goodbye.
    pub(super) fn abandon(self) -> Option<Ghost> {
        lock(&self.link).stream.take().map(Ghost)
    }

    /// A writing half, for the broker's end.
    pub fn writer(&self) -> ConnWriter {
        ConnWriter(self.link.clone())
    }

    /// Sends bytes, after the access network's latency where there is one.
    pub fn send(&mut self, cx: &mut Context<'_>, bytes: Bytes) {
        match &mut self.access {
            None => lock(&self.link).write(&bytes),
            Some(access) => access.send(cx, bytes),
        }
    }

    /// Hands over bytes as they come, and is ready at the end of the connection. While `each` runs, writes of the
    /// [`ConnWriter`] are gathered and sent as one packet after it.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>, mut each: impl FnMut(&[u8])) -> Poll<io::Result<()>> {
        if let Some(access) = &mut self.access {
            return access.poll(cx, &self.link, &mut each);
        }
        loop {
            let mut chunk = [0; CHUNK_BYTES];
            let n = ready!(lock(&self.link).poll_read(cx, &mut chunk))?;
            if n == 0 {
                return Poll::Ready(Ok(()));
            }
            lock(&self.link).corked = true;
            each(&chunk[..n]);
            let mut link = lock(&self.link);
            link.corked = false;
            link.flush();
        }
    }

    /// [`Conn::poll_receive`] as a future that lasts until the end of the connection.
    pub async fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        poll_fn(|cx| self.poll_receive(cx, &mut each)).await
    }

    /// Tells the client that its certificate is accepted.
    pub fn accept_certificate(&mut self) {
        lock(&self.link).write(&[SERVER_HELLO]);
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        lock(&self.link).shut();
    }
}

/// The writing half of the broker's end. It never waits: bytes are buffered by the network without a bound.
pub struct ConnWriter(Arc<Mutex<Link>>);

impl ConnWriter {
    /// Sends bytes. Nothing happens when the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) {
        lock(&self.0).write(bytes);
    }

    /// Closes the connection after what was sent before. The reading half sees the end.
    pub fn close(&mut self) {
        lock(&self.0).shut();
    }
}

/// Reads the client's part of the simulated TLS handshake and answers the id of the certificate that it presents.
/// [`Conn::accept_certificate`] completes the handshake; dropping the connection refuses the certificate.
pub async fn server_handshake(conn: &mut Conn) -> io::Result<String> {
    let mut hello = Vec::with_capacity(CLIENT_HELLO.len() + CERTIFICATE_ID_BYTES);
    poll_fn(|cx| match conn.poll_receive(cx, |chunk| hello.extend_from_slice(chunk)) {
        Poll::Pending if hello.len() < CLIENT_HELLO.len() + CERTIFICATE_ID_BYTES => Poll::Pending,
        Poll::Pending | Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
    })
    .await?;
    let id = hello.strip_prefix(CLIENT_HELLO).and_then(|id| std::str::from_utf8(id).ok());
    id.filter(|id| id.len() == CERTIFICATE_ID_BYTES && id.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(str::to_owned)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not the client's part of a handshake"))
}
