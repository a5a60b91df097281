//! Accepting, with a pause after errors that would come again at once.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// The pause after the first error of a row; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A source of connections: a bound socket, or one that fails on purpose in a test.
pub trait Accept: Send {
    /// The next connection. Must be safe to drop before it resolves.
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send {
        Self::accept(self)
    }
}

/// How long to pause after errors of the system, such as having no file descriptor left.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pause: Duration,
    until: Option<Instant>,
}

impl Backoff {
    fn failed(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.until = Some(now + self.pause);
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }
}

/// The next connection, or an error of the system after which the next call pauses. Safe to drop:
/// a pause goes on where it was.
pub(super) async fn next<A: Accept>(
    listener: &mut A,
    backoff: &mut Backoff,
) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(until) = backoff.until {
        sleep_until(until).await;
        backoff.until = None;
    }
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                backoff.succeeded();
                return Ok(accepted);
            }
            Err(error) if concerns_one_peer(&error) => tokio::task::yield_now().await,
            Err(error) => {
                backoff.failed(Instant::now());
                return Err(error);
            }
        }
    }
}

/// Whether the connection went away while it waited: the next one is not worse for it.
fn concerns_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails in every way it is told to, then waits for ever.
    struct Failing(Vec<io::ErrorKind>);

    impl Accept for Failing {
        async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
            match self.0.pop() {
                Some(kind) => Err(kind.into()),
                None => std::future::pending().await,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn errors_of_the_system_are_paused_after_ever_longer() {
        let mut listener = Failing(vec![io::ErrorKind::Other; 12]);
        let mut backoff = Backoff::default();
        let mut pauses_ms = Vec::new();
        for _ in 0..12 {
            let started = Instant::now();
            assert!(next(&mut listener, &mut backoff).await.is_err());
            pauses_ms.push(started.elapsed().as_millis());
        }
        assert_eq!(pauses_ms, [0, 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_pause_goes_on_where_it_was() {
        let mut listener = Failing(vec![io::ErrorKind::Other; 2]);
        let mut backoff = Backoff::default();
        assert!(next(&mut listener, &mut backoff).await.is_err());
        let started = Instant::now();
        for _ in 0..3 {
            let early = Duration::from_millis(1);
            let dropped = tokio::time::timeout(early, next(&mut listener, &mut backoff)).await;
            assert!(dropped.is_err());
        }
        assert!(next(&mut listener, &mut backoff).await.is_err());
        assert_eq!(started.elapsed(), PAUSE_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_left_costs_no_pause() {
        let mut listener = Failing(vec![io::ErrorKind::Other, io::ErrorKind::ConnectionAborted]);
        let started = Instant::now();
        assert!(next(&mut listener, &mut Backoff::default()).await.is_err());
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
