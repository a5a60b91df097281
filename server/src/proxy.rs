//! The PROXY protocol, versions 1 and 2: what a load balancer says of the client it speaks for.
//!
//! Reading never takes a byte that comes after the header: what follows is TLS or HTTP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header of version 1, its line break included, by its specification.
const V1_BYTES_MAX: usize = 107;

/// The longest rest of a version 2 header that is taken: the addresses and what balancers add.
const V2_REST_BYTES_MAX: usize = 1_024;

/// The part of a version 2 header whose length is known beforehand.
const V2_FIXED_BYTES: usize = 16;

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least that many bytes of it are still to come.
    More(usize),
    /// It is whole. There is no client where the balancer speaks for itself, as in a health check,
    /// or does not know.
    Whole(Option<SocketAddr>),
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The connection opens with something else.
    #[error("the connection does not begin with a PROXY header")]
    Absent,
    /// It begins like one and does not go on like one.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// It is longer than any that is needed.
    #[error("the PROXY header is too long")]
    TooLong,
}

/// Looks at the bytes that have come, which must not reach beyond the header. Pure.
///
/// # Errors
/// When they cannot become a header any more.
pub fn parse(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let opens = |start: &[u8]| bytes.iter().zip(start).all(|(have, want)| have == want);
    match (opens(V1_START), opens(V2_START)) {
        // The shortest header of either version is longer than both starts.
        (true, _) | (_, true) if bytes.len() < V2_START.len() => {
            Ok(Progress::More(V2_START.len() - bytes.len()))
        }
        (true, _) => parse_v1(bytes),
        (_, true) => parse_v2(bytes),
        (false, false) => Err(ProxyError::Absent),
    }
}

/// Reads a header, and nothing behind it.
pub(crate) async fn read<R: AsyncRead + Unpin>(source: &mut R) -> io::Result<Option<SocketAddr>> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes) {
            Ok(Progress::Whole(client)) => return Ok(client),
            Ok(Progress::More(count)) => {
                let have = bytes.len();
                bytes.resize(have + count, 0);
                source.read_exact(&mut bytes[have..]).await?;
            }
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        // Nothing says how long the line is: no more may be asked for than its end.
        let missing = if bytes.ends_with(b"\r") { 1 } else { 2 };
        let broken = bytes.contains(&b'\n');
        return match bytes.len() + missing {
            _ if broken => Err(ProxyError::Malformed),
            length if length <= V1_BYTES_MAX => Ok(Progress::More(missing)),
            _ => Err(ProxyError::TooLong),
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    client_of_line(line).map(Progress::Whole).ok_or(ProxyError::Malformed)
}

/// The client of a line of version 1; the outer option is whether the line makes sense.
fn client_of_line(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let (source, destination) = (words.next()?, words.next()?);
    let (port, to_port) = (words.next()?, words.next()?);
    let address: IpAddr = match family {
        "TCP4" => (source.parse::<Ipv4Addr>().ok()?).into(),
        "TCP6" => (source.parse::<Ipv6Addr>().ok()?).into(),
        _ => return None,
    };
    let to: IpAddr = destination.parse().ok()?;
    let whole = words.next().is_none()
        && to.is_ipv4() == address.is_ipv4()
        && to_port.parse::<u16>().is_ok();
    whole.then_some(Some(SocketAddr::new(address, port.parse().ok()?)))
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(Progress::More(V2_FIXED_BYTES - bytes.len()));
    };
    let [.., version_command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_REST_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    match length.checked_sub(rest.len()) {
        Some(0) => {}
        Some(missing) => return Ok(Progress::More(missing)),
        None => return Err(ProxyError::Malformed),
    }
    match (version_command, family) {
        // Local: the balancer's own connection, whatever the addresses say.
        (0x20, _) => Ok(Progress::Whole(None)),
        (0x21, 0x11) => v4_of(rest).map(Progress::Whole),
        (0x21, 0x21) => v6_of(rest).map(Progress::Whole),
        // Unspecified, datagrams, sockets of the file system: no address to count by.
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Ok(Progress::Whole(None)),
        _ => Err(ProxyError::Malformed),
    }
}

/// Source address, destination address, source port, destination port; then extensions.
fn v4_of(rest: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let (&[a, b, c, d, _, _, _, _, high, low, _, _], _) =
        rest.split_first_chunk::<12>().ok_or(ProxyError::Malformed)?;
    Ok(Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into()))
}

fn v6_of(rest: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let (addresses, _) = rest.split_first_chunk::<36>().ok_or(ProxyError::Malformed)?;
    let (source, _) = addresses.split_first_chunk::<16>().ok_or(ProxyError::Malformed)?;
    let port = u16::from_be_bytes([addresses[32], addresses[33]]);
    Ok(Some((Ipv6Addr::from(*source), port).into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What is read of a stream, and what is left in it.
    fn run(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut source = bytes;
            let client = read(&mut source).await;
            let mut left = Vec::new();
            source.read_to_end(&mut left).await.unwrap();
            (client, left)
        })
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &length, rest].concat()
    }

    fn v2_of(source: SocketAddr) -> Vec<u8> {
        let port = source.port().to_be_bytes();
        match source.ip() {
            IpAddr::V4(v4) => v2(0x21, 0x11, &[&v4.octets()[..], &[9; 4], &port, &[0; 2]].concat()),
            IpAddr::V6(v6) => {
                v2(0x21, 0x21, &[&v6.octets()[..], &[9; 16], &port, &[0; 2]].concat())
            }
        }
    }

    fn v1_of(source: SocketAddr) -> Vec<u8> {
        let (family, to) = if source.is_ipv4() { ("TCP4", "10.0.0.1") } else { ("TCP6", "::1") };
        format!("PROXY {family} {} {to} {} 443\r\n", source.ip(), source.port()).into_bytes()
    }

    fn check(bytes: &[u8], expected: Result<Option<&str>, ProxyError>) {
        let (read, left) = run(&[bytes, b"GET /"].concat());
        match expected {
            Ok(client) => {
                let client = client.map(|text| text.parse::<SocketAddr>().unwrap());
                assert_eq!(read.unwrap(), client, "{}", bytes.escape_ascii());
                assert_eq!(left, b"GET /");
            }
            Err(error) => {
                let got = read.unwrap_err();
                let got = got.get_ref().and_then(|inner| inner.downcast_ref::<ProxyError>());
                assert_eq!(got, Some(&error), "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn both_versions_name_the_client() {
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 5001 443\r\n", Ok(Some("192.0.2.7:5001")));
        check(b"PROXY TCP6 2001:db8::7 ::1 5001 443\r\n", Ok(Some("[2001:db8::7]:5001")));
        check(&v2_of("192.0.2.7:5001".parse().unwrap()), Ok(Some("192.0.2.7:5001")));
        check(&v2_of("[2001:db8::7]:5001".parse().unwrap()), Ok(Some("[2001:db8::7]:5001")));
        let extended = [&[192, 0, 2, 7, 9, 9, 9, 9, 0, 80, 0, 0][..], &[3, 0, 4, 1, 2, 3, 4]];
        check(&v2(0x21, 0x11, &extended.concat()), Ok(Some("192.0.2.7:80")));
    }

    #[test]
    fn a_balancer_that_speaks_for_itself_names_nobody() {
        check(b"PROXY UNKNOWN\r\n", Ok(None));
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Ok(None));
        check(&v2(0x20, 0x00, b""), Ok(None));
        check(&v2(0x20, 0x11, &[1; 12]), Ok(None));
        check(&v2(0x21, 0x00, b""), Ok(None));
        check(&v2(0x21, 0x31, &[1; 216]), Ok(None));
    }

    #[test]
    fn anything_else_is_refused() {
        use ProxyError::{Absent, Malformed, TooLong};
        check(b"GET / HTTP/1.1\r\nhost: t\r\n\r\n", Err(Absent));
        check(b"PROXX TCP4 192.0.2.7 10.0.0.1 5001 443\r\n", Err(Absent));
        check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Err(Absent));
        for line in [
            "PROXY TCP4 192.0.2.7 10.0.0.1 5001\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 5001 443 7\r\n",
            "PROXY TCP4 2001:db8::7 10.0.0.1 5001 443\r\n",
            "PROXY TCP4 192.0.2.7 ::1 5001 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 70000 443\r\n",
            "PROXY  TCP4 192.0.2.7 10.0.0.1 1 443\r\n",
            "PROXY SCTP 192.0.2.7 10.0.0.1 5001 443\r\n",
            "PROXY TCP4 192.0.2.7\n10.0.0.1 5001 443\r\n",
        ] {
            check(line.as_bytes(), Err(Malformed));
        }
        check(format!("PROXY UNKNOWN {}\r\n", "a".repeat(100)).as_bytes(), Err(TooLong));
        check(&v2(0x21, 0x11, &[1; 11]), Err(Malformed));
        check(&v2(0x11, 0x11, &[1; 12]), Err(Malformed));
        check(&v2(0x22, 0x11, &[1; 12]), Err(Malformed));
        check(&v2(0x21, 0x41, &[1; 12]), Err(Malformed));
        check(&v2(0x21, 0x11, &[1; V2_REST_BYTES_MAX + 1]), Err(TooLong));
    }

    proptest! {
        #[test]
        fn any_client_comes_through_and_nothing_behind_is_taken(
            ip: IpAddr, port: u16, behind in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let source = SocketAddr::new(ip, port);
            for header in [v1_of(source), v2_of(source)] {
                let (client, left) = run(&[&header[..], &behind].concat());
                prop_assert_eq!(client.unwrap(), Some(source));
                prop_assert_eq!(&left, &behind);
            }
        }

        #[test]
        fn no_bytes_break_it_and_no_header_is_without_bound(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..2_000), version in 0..3,
        ) {
            let start = match version { 0 => &b""[..], 1 => V1_START, _ => V2_START };
            bytes.splice(0..0, start.iter().copied());
            let whole = bytes.len();
            let (_, left) = run(&bytes);
            prop_assert!(whole - left.len() <= V2_FIXED_BYTES + V2_REST_BYTES_MAX);
        }
    }
}
