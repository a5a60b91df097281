//! A real broker, started, stopped, killed and started again.
#![allow(clippy::unwrap_used)] // The helpers of a test stop at the first thing that is not as it must be.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::PathBuf;

use clickmill_xtask::kafka::{Broker, BrokerOptions, Error};

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("clickmill-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn refused(bootstrap: &str) -> bool {
    TcpStream::connect(bootstrap).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_broker_comes_back_with_its_folder_and_port_after_a_stop_and_after_a_kill() {
    let folder = Folder::new("broker");
    let mut broker = Broker::start(&BrokerOptions::new(folder.0.join("data"))).unwrap();
    let bootstrap = broker.bootstrap();
    assert!(TcpStream::connect(&bootstrap).is_ok());
    let identity = || std::fs::read_to_string(folder.0.join("data/logs/meta.properties")).unwrap();
    let before = identity();

    broker.stop();
    assert!(broker.ended() && refused(&bootstrap));
    broker.restart().unwrap();
    assert_eq!(broker.bootstrap(), bootstrap);

    broker.kill();
    assert!(broker.ended() && refused(&bootstrap));
    broker.restart().unwrap();
    assert!(TcpStream::connect(&bootstrap).is_ok());
    assert_eq!(identity(), before);

    let taken = BrokerOptions { port: broker.port(), ..BrokerOptions::new(folder.0.join("other")) };
    let error = Broker::start(&taken).unwrap_err();
    assert!(matches!(error, Error::PortTaken { port } if port == broker.port()), "{error}");

    drop(broker);
    assert!(refused(&bootstrap));
}
