//! Where a request comes from. Behind a proxy the connection is the proxy's, and a header says whose request it passes on. Anybody can write that header, so
//! it is believed only as far as it was written by proxies that the operator has named: it is read from its end, where the last proxy wrote, and the first
//! address that is none of them is the client's.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, X_FORWARDED_FOR};

/// Proxies one behind the other, and what a client has written before them.
const HOPS_MAX: usize = 20;

/// The proxies that are believed, and the header that they write.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    networks: Vec<Network>,
    forwarding: Forwarding,
}

/// One header and not both: what a proxy does not write itself, it passes on as a client wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// `X-Forwarded-For: 203.0.113.7, 10.0.0.2`
    #[default]
    XForwardedFor,
    /// `Forwarded: for="[2001:db8::7]:4711";proto=https` (RFC 7239)
    Forwarded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32` or one address.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u32 = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(u128::from(own.to_bits()) << 96, u128::from(other.to_bits()) << 96, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), self.prefix),
            _ => false,
        }
    }
}

/// True where the first bits are the same.
fn same(one: u128, other: u128, bits: u32) -> bool {
    (one ^ other).leading_zeros() >= bits
}

impl Forwarding {
    /// As the setting has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Some(Self::XForwardedFor),
            "forwarded" => Some(Self::Forwarded),
            _ => None,
        }
    }

    fn header(self) -> HeaderName {
        match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => FORWARDED,
        }
    }

    /// The address that one proxy wrote; none where it is hidden or cannot be read.
    fn address(self, written: &str) -> Option<IpAddr> {
        let node = match self {
            Self::XForwardedFor => written,
            Self::Forwarded => {
                let pair = |pair: &str| {
                    pair.split_once('=')
                        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
                        .map(|(_, value)| value.to_owned())
                };
                return node(written.split(';').find_map(pair)?.trim().trim_matches('"'));
            }
        };
        self::node(node.trim())
    }
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split(']').next()?.parse().ok();
    }
    text.parse().ok().or_else(|| text.rsplit_once(':')?.0.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
}

impl Proxies {
    /// # Errors
    /// The first word that is no address and no network.
    pub fn parse(networks: &str, forwarding: Forwarding) -> Result<Self, String> {
        let words = networks.split(',').map(str::trim).filter(|word| !word.is_empty());
        let networks = words.map(|word| Network::parse(word).ok_or_else(|| word.to_owned())).collect::<Result<_, _>>()?;
        Ok(Self { networks, forwarding })
    }

    /// Whose request it is.
    #[must_use]
    pub fn client(&self, request: &HttpRequest) -> IpAddr {
        let connection = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        self.behind(connection, request.headers())
    }

    pub(crate) fn behind(&self, connection: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = connection.to_canonical();
        if !self.believes(client) {
            return client;
        }
        // Bytes, because a line with one that is no ASCII is a line all the same: left out, what a client wrote before it would pass for the proxy's.
        let lines: Vec<&[u8]> = headers.get_all(self.forwarding.header()).map(|value| value.as_bytes()).collect();
        // Split by commas whatever quotes say: an open quote of a client's must not swallow what a proxy wrote behind it.
        for written in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).take(HOPS_MAX) {
            // What cannot be read is nobody's address: the proxy that wrote it stands for whoever is behind.
            let address = std::str::from_utf8(written).ok().and_then(|written| self.forwarding.address(written));
            let Some(address) = address else { break };
            client = address.to_canonical();
            if !self.believes(client) {
                break;
            }
        }
        client
    }

    fn believes(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// What stands for one peer: its address, or the /64 network that one holder of IPv6 addresses chooses among.
#[must_use]
pub fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn found(forwarding: Forwarding, connection: &str, lines: &[&'static str]) -> String {
        let proxies = Proxies::parse("10.0.0.0/8, 2001:db8:1::/48,192.0.2.9", forwarding).unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(forwarding.header(), HeaderValue::from_static(line));
        }
        proxies.behind(connection.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_header_is_believed_of_named_proxies_only_and_only_what_they_wrote() {
        let at = |connection: &str, lines: &[&'static str]| found(Forwarding::XForwardedFor, connection, lines);
        for (connection, lines, client) in [
            ("198.51.100.1", &["203.0.113.7"][..], "198.51.100.1"),
            ("10.1.2.3", &["203.0.113.7"], "203.0.113.7"),
            ("::ffff:10.1.2.3", &["::ffff:203.0.113.7"], "203.0.113.7"),
            ("10.1.2.3", &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
            ("10.1.2.3", &["1.1.1.1, 203.0.113.7, 10.9.9.9, 192.0.2.9"], "203.0.113.7"),
            ("10.1.2.3", &["1.1.1.1", "203.0.113.7", "10.9.9.9"], "203.0.113.7"),
            ("10.1.2.3", &["10.9.9.9"], "10.9.9.9"),
            ("10.1.2.3", &["203.0.113.7:4711"], "203.0.113.7"),
            ("10.1.2.3", &["[2001:db8:2::7]:4711"], "2001:db8:2::7"),
            ("2001:db8:1::1", &["2001:db8:2::7"], "2001:db8:2::7"),
            ("10.1.2.3", &["203.0.113.7, unknown"], "10.1.2.3"),
            ("10.1.2.3", &["203.0.113.7, "], "10.1.2.3"),
            ("10.1.2.3", &[], "10.1.2.3"),
        ] {
            assert_eq!(at(connection, lines), client, "{connection} {lines:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, HeaderValue::from_static("for=1.1.1.1"));
        let proxies = Proxies::parse("10.0.0.0/8", Forwarding::XForwardedFor).unwrap();
        assert_eq!(
            proxies.behind("10.1.2.3".parse().unwrap(), &headers).to_string(),
            "10.1.2.3",
            "the other header is a client's"
        );
    }

    #[test]
    fn threat_forwarded_line_that_is_no_text_is_a_line_and_brings_no_earlier_one_to_its_place() {
        let proxies = Proxies::parse("10.0.0.0/8", Forwarding::XForwardedFor).unwrap();
        let cases: [(&[&[u8]], &str); 3] = [
            (&[b"1.1.1.1", b"\xff, 203.0.113.7"], "203.0.113.7"),
            (&[b"1.1.1.1", b"\xff"], "10.1.2.3"),
            (&[b"\xe9, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
        ];
        for (lines, client) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
            }
            assert_eq!(proxies.behind("10.1.2.3".parse().unwrap(), &headers).to_string(), client, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_from_its_end_whatever_a_client_quoted() {
        let at = |lines: &[&'static str]| found(Forwarding::Forwarded, "10.1.2.3", lines);
        assert_eq!(at(&["for=203.0.113.7;proto=https"]), "203.0.113.7");
        assert_eq!(at(&[r#"by=10.0.0.1; For="[2001:db8:2::7]:4711""#]), "2001:db8:2::7");
        assert_eq!(at(&[r#"for="1.1.1.1, for=203.0.113.7"#]), "203.0.113.7");
        assert_eq!(at(&["for=203.0.113.7, for=_hidden"]), "10.1.2.3");
        assert_eq!(at(&["proto=https"]), "10.1.2.3");
    }

    #[test]
    fn what_is_no_network_is_said_and_every_length_of_prefix_is_one() {
        for wrong in ["10.0.0.0/33", "::/129", "proxy.example", "10.0.0/8", "10.0.0.0/-1"] {
            assert_eq!(Proxies::parse(&format!("10.0.0.1, {wrong}"), Forwarding::default()).unwrap_err(), wrong);
        }
        let all = Network::parse("0.0.0.0/0").unwrap();
        assert!(all.contains("203.0.113.7".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
        let one = Network::parse("10.0.0.1").unwrap();
        assert!(one.contains("10.0.0.1".parse().unwrap()) && !one.contains("10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn one_network_is_one_peer() {
        let peer = |text: &str| peer(text.parse().unwrap());
        assert_eq!(peer("2001:db8:1:2:3::4"), peer("2001:db8:1:2:9::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    }
}
