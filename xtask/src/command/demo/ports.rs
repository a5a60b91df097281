//! The ports of the demo, all on loopback.

use std::net::{Ipv4Addr, TcpListener};

use crate::command::Failure;

/// The shop's port where none is asked for.
pub(super) const SHOP: u16 = 8080;

/// Who listens where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) shop: u16,
    pub(super) collector: u16,
    pub(super) relay: u16,
    pub(super) collector_admin: u16,
    pub(super) relay_admin: u16,
    pub(super) kafka: u16,
    pub(super) controller: u16,
}

impl Ports {
    /// All of them follow from the shop's: 8080 gives 8081, 8082, 9081, 9082, 9092 and 9093.
    pub(super) fn from_shop(shop: u16) -> Result<Self, Failure> {
        let after = |n: u16| {
            let port = shop.checked_add(n).filter(|_| shop > 0);
            port.ok_or_else(|| Failure::Usage("--port must be from 1 to 64522".to_owned()))
        };
        Ok(Self {
            shop,
            collector: after(1)?,
            relay: after(2)?,
            collector_admin: after(1001)?,
            relay_admin: after(1002)?,
            kafka: after(1012)?,
            controller: after(1013)?,
        })
    }

    /// Ports that nobody uses at the moment.
    pub(super) fn free() -> Result<Self, Failure> {
        // All are held at once, so that they differ.
        let mut held = Vec::new();
        let mut free = || {
            let told = |error| Failure::Told(format!("no free port on 127.0.0.1: {error}"));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(told)?;
            let port = listener.local_addr().map_err(told)?.port();
            held.push(listener);
            Ok::<u16, Failure>(port)
        };
        Ok(Self {
            shop: free()?,
            collector: free()?,
            relay: free()?,
            collector_admin: free()?,
            relay_admin: free()?,
            kafka: free()?,
            controller: free()?,
        })
    }

    /// Makes sure that nobody listens on any of them.
    pub(super) fn check(self) -> Result<(), Failure> {
        for (port, who) in [
            (self.shop, "the shop"),
            (self.collector, "the collector"),
            (self.relay, "the relay"),
            (self.collector_admin, "the collector's figures"),
            (self.relay_admin, "the relay's figures"),
            (self.kafka, "Kafka"),
            (self.controller, "Kafka's controller"),
        ] {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                return Err(Failure::Told(format!(
                    "port {port} of 127.0.0.1, which {who} needs, cannot be had ({error}); \
                     stop the program that has it, or start the demo elsewhere with \
                     `cargo xtask demo --port N` (it then takes N, N+1, N+2, N+1001, N+1002, \
                     N+1012 and N+1013)"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ports_follow_from_the_shops() {
        let ports = Ports::from_shop(SHOP).unwrap();
        assert_eq!(
            ports,
            Ports {
                shop: 8080,
                collector: 8081,
                relay: 8082,
                collector_admin: 9081,
                relay_admin: 9082,
                kafka: 9092,
                controller: 9093,
            }
        );
        assert!(Ports::from_shop(0).is_err());
        assert!(Ports::from_shop(64522).is_ok() && Ports::from_shop(64523).is_err());
    }

    #[test]
    fn a_taken_port_is_one_sentence_that_names_it() {
        let mut ports = Ports::free().unwrap();
        ports.check().unwrap();
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        ports.relay = other.local_addr().unwrap().port();
        let Err(Failure::Told(sentence)) = ports.check() else { panic!("it is taken") };
        assert!(sentence.starts_with(&format!("port {} of 127.0.0.1", ports.relay)), "{sentence}");
        assert!(sentence.contains("--port N") && !sentence.contains('\n'), "{sentence}");
    }
}
