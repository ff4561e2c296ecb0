//! Parses the addresses to listen on.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};

/// The address of `127.0.0.1:8080`, of a name with a port, or of a port alone, which means loopback. Names are resolved.
///
/// # Errors
/// The fault, and the accepted forms.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    const FORM: &str = "use ADDRESS:PORT, as in 127.0.0.1:8080, or a port alone";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
        return Ok(loopback(port));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text:?}: {FORM}"))?;
    let port: u16 = port.parse().map_err(|_| format!("{port:?} is not a port; {FORM}"))?;
    let found = (host, port).to_socket_addrs();
    let found: Vec<SocketAddr> = found
        .map_err(|error| format!("the name {host:?} cannot be found ({error}); {FORM}"))?
        .collect();
    let chosen = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    chosen.copied().ok_or_else(|| format!("the name {host:?} has no address; {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_in_every_form_that_people_write() {
        for (text, expected) in [
            ("127.0.0.1:8099", "127.0.0.1:8099"),
            ("[::1]:8099", "[::1]:8099"),
            ("8099", "127.0.0.1:8099"),
            (":8099", "127.0.0.1:8099"),
            ("localhost:8099", "127.0.0.1:8099"),
        ] {
            assert_eq!(listen_address(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_what_one_is() {
        for text in ["nowhere", "localhost:http", "99999", "a b:80", ""] {
            let problem = listen_address(text).unwrap_err();
            assert!(problem.contains("127.0.0.1:8080"), "{text}: {problem}");
        }
    }
}
