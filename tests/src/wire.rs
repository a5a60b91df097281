//! The wire between a service and Kafka, in a story's hands: it can be slow, silent, or cut.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::child::free_port;

/// Bytes that are taken from one end at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks that may be under way in one direction.
const CHUNKS_MAX: usize = 64;

/// How it is just now.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// How long every byte is under way.
    delay: Duration,
    /// Nothing arrives, though nobody is told.
    silent: bool,
    /// How often it was cut.
    cuts: u64,
}

/// A wire from one port of loopback to another.
#[derive(Debug)]
pub struct Wire {
    /// The port of its near end.
    pub near: u16,
    /// The port of its far end: who is to be reached listens there.
    pub far: u16,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Wire {
    /// Lays one; nobody needs to be at its far end yet.
    ///
    /// # Panics
    /// When the machine has no free port.
    pub async fn lay() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let near = listener.local_addr().expect("the port's number").port();
        let (far, state) = (free_port(), watch::Sender::new(State::default()));
        let task = tokio::spawn(serve(listener, far, state.clone()));
        Self { near, far, state, task }
    }

    /// The address of its near end.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.near)
    }

    /// From now on every byte is under way for so long, in each direction.
    pub fn slows(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Nothing arrives any more, but no connection ends.
    pub fn falls_silent(&self) {
        self.state.send_modify(|state| state.silent = true);
    }

    /// Everything goes at full speed again, what was held back first.
    pub fn mends(&self) {
        self.state.send_modify(|state| (state.delay, state.silent) = (Duration::ZERO, false));
    }

    /// Resets every connection, with whatever is under way; new ones may be made at once.
    pub fn is_cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, far: u16, state: watch::Sender<State>) {
    while let Ok((near, _)) = listener.accept().await {
        let state = state.subscribe();
        tokio::spawn(async move {
            if let Ok(far) = TcpStream::connect(("127.0.0.1", far)).await {
                connect(near, far, state).await;
            }
        });
    }
}

/// Passes bytes both ways until one end closes or the wire is cut.
async fn connect(mut near: TcpStream, mut far: TcpStream, mut state: watch::Receiver<State>) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let cuts = state.borrow().cuts;
    let (out, back) = (state.clone(), state.clone());
    let cut = {
        let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
        tokio::select! {
            _ = pass(from_near, to_far, out) => false,
            _ = pass(from_far, to_near, back) => false,
            _ = state.wait_for(|state| state.cuts != cuts) => true,
        }
    };
    if cut {
        // Both ends see a reset, not an orderly end.
        let _ = (near.set_zero_linger(), far.set_zero_linger());
    }
}

/// Passes bytes one way, each as late as the wire is slow when it comes.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let (give, mut take) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let delays = state.clone();
    let reading = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let length = from.read(&mut chunk).await?;
            chunk.truncate(length);
            let due = Instant::now() + delays.borrow().delay;
            if length == 0 || give.send((due, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, chunk)) = take.recv().await {
            sleep_until(due).await;
            // Fails only when the wire itself is gone.
            let _ = state.wait_for(|state| !state.silent).await;
            to.write_all(&chunk).await?;
        }
        Ok(())
    };
    tokio::try_join!(reading, writing).map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::child::A_MOMENT;
    use crate::until::PATIENCE;

    /// Says back whatever it hears.
    async fn echo(port: u16) {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = peer.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
    }

    async fn says(stream: &mut TcpStream) -> io::Result<Duration> {
        let start = Instant::now();
        stream.write_all(b"x").await?;
        timeout(PATIENCE, stream.read_exact(&mut [0])).await??;
        Ok(start.elapsed())
    }

    #[tokio::test]
    async fn it_can_be_slow_silent_and_cut() {
        let wire = Wire::lay().await;
        echo(wire.far).await;
        let mut stream = TcpStream::connect(wire.address()).await.unwrap();
        says(&mut stream).await.unwrap();

        wire.slows(Duration::from_millis(50));
        assert!(says(&mut stream).await.unwrap() >= Duration::from_millis(100));

        wire.falls_silent();
        stream.write_all(b"y").await.unwrap();
        assert!(timeout(A_MOMENT, stream.read_exact(&mut [0])).await.is_err());
        wire.mends();
        timeout(PATIENCE, stream.read_exact(&mut [0])).await.unwrap().unwrap();

        wire.is_cut();
        let error = timeout(PATIENCE, stream.read_exact(&mut [0])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        says(&mut TcpStream::connect(wire.address()).await.unwrap()).await.unwrap();
    }
}
