//! Refuses requests that a foreign page sends in a visitor's name, and requests for unknown host names.
//!
//! A page of another site can make a browser send any simple request here. A name whose address changes (DNS rebinding) can make the page
//! read the answer as its own. Programs send neither `Origin` nor `Sec-Fetch-Site`, and are not affected.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Host names under which browsers reach this server, besides its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts {
    /// Names from the settings. Pages there may also send requests that change something.
    public: BTreeSet<String>,
    /// Names of this machine.
    own: BTreeSet<String>,
}

impl Hosts {
    /// The names from the settings, those of this machine, and `localhost`.
    pub fn new<'a>(
        public: impl IntoIterator<Item = &'a str>,
        machine: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let own = machine.into_iter().chain(["localhost"]).map(plain).collect();
        Self { public: public.into_iter().map(plain).collect(), own }
    }

    /// IP addresses are always accepted: no page of another site has an address as its name.
    fn answers_to(&self, host: &str) -> bool {
        host.parse::<IpAddr>().is_ok() || self.own.contains(host) || self.public.contains(host)
    }
}

/// Normalises a host name: case and a final dot do not matter. Brackets belong to an IPv6 address.
fn plain(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    /// The request names a host that this server does not have.
    UnknownHost(String),
    /// A page of another site sent the request.
    CrossSite,
}

/// Middleware that refuses such requests.
pub(super) async fn guard(
    State(hosts): State<Arc<Hosts>>,
    request: Request,
    next: Next,
) -> Response {
    match judge(&hosts, request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refused(&refusal).into_response(),
    }
}

fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::UnknownHost(host) => {
            let detail = format!(
                "This server does not answer to the name {host:?}. Use its address, or let the operator add the name to \
                 http.public-names."
            );
            Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown-host", detail)
        }
        Refusal::CrossSite => Problem::new(
            StatusCode::FORBIDDEN,
            "cross-site",
            "A page of another site sent this request. Use the pages of this server, or let the operator add the name of the site to \
             http.public-names.",
        ),
    }
}

fn judge(hosts: &Hosts, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = host(uri, headers)?;
    if let Some(host) = &host
        && !hosts.answers_to(&plain(host.host()))
    {
        return Err(Refusal::UnknownHost(shown(host.host())));
    }
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    match headers.get(ORIGIN) {
        Some(origin) => {
            let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
            let friendly = origin.is_some_and(|origin| is_ours(hosts, &origin, host.as_ref()));
            if friendly { Ok(()) } else { Err(Refusal::CrossSite) }
        }
        None => match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => Err(Refusal::CrossSite),
        },
    }
}

/// The host that a request names; `None` for old clients, which are no browsers.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let mut named = headers.get_all(HOST).iter();
    let Some(first) = named.next() else { return Ok(None) };
    // As RFC 9112, section 3.2, requires for an address without a host.
    if first.is_empty() && headers.get_all(HOST).iter().count() == 1 {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(first.as_bytes()).into_owned();
    match Authority::from_str(&text) {
        Ok(authority) if named.next().is_none() => Ok(Some(authority)),
        Ok(_) | Err(_) => Err(Refusal::UnknownHost(shown(&text))),
    }
}

/// Whether the page is this server's: it has the same name and port, or a public name.
fn is_ours(hosts: &Hosts, origin: &Uri, host: Option<&Authority>) -> bool {
    let Some(from) = origin.authority() else { return false };
    if hosts.public.contains(&plain(from.host())) {
        return true;
    }
    let usual = if origin.scheme_str() == Some("https") { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(usual);
    host.is_some_and(|host| plain(host.host()) == plain(from.host()) && port(host) == port(from))
}

/// The host as shown in an answer.
fn shown(host: &str) -> String {
    host.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(["Videos.example.com"], ["box"])
    }

    fn judged(method: &Method, headers: &[(&'static str, &str)]) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        judge(&hosts(), method, &Uri::from_static("/v1/videos"), &map)
    }

    #[test]
    fn only_own_names_and_addresses_are_answered_to() {
        for host in [
            "127.0.0.1:8080",
            "10.1.2.3",
            "[::1]:8080",
            "localhost:8080",
            "LOCALHOST",
            "box:8080",
            "videos.example.com",
            "videos.example.com.:443",
        ] {
            assert_eq!(judged(&Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:8080",
            "localhost.evil.example",
            "other.videos.example.com",
            "a b",
        ] {
            let judged = judged(&Method::GET, &[("host", host)]);
            assert!(matches!(judged, Err(Refusal::UnknownHost(_))), "{host}");
        }
        assert_eq!(judged(&Method::GET, &[]), Ok(()));
        assert_eq!(judged(&Method::GET, &[("host", "")]), Ok(()));
        let evil = [("host", ""), ("origin", "https://evil.example")];
        assert_eq!(judged(&Method::POST, &evil), Err(Refusal::CrossSite));
        assert!(judged(&Method::GET, &[("host", ""), ("host", "evil.example")]).is_err());
        let two = judged(&Method::GET, &[("host", "localhost"), ("host", "localhost")]);
        assert!(two.is_err());
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let host = ("host", "127.0.0.1:8080");
        for headers in [
            &[host, ("origin", "https://evil.example")][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://127.0.0.1:3000")],
            &[host, ("origin", "http://127.0.0.1:8080.evil.example")],
            &[host, ("origin", "https://127.0.0.1")],
            &[host, ("origin", "http://localhost:8080")],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")],
        ] {
            assert_eq!(judged(&Method::POST, headers), Err(Refusal::CrossSite), "{headers:?}");
            assert_eq!(judged(&Method::DELETE, headers), Err(Refusal::CrossSite), "{headers:?}");
            assert_eq!(judged(&Method::GET, headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn own_pages_and_programs_may_change_things() {
        let host = ("host", "127.0.0.1:8080");
        for headers in [
            &[host][..],
            &[host, ("origin", "http://127.0.0.1:8080")],
            &[host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")],
            &[host, ("sec-fetch-site", "none")],
            // Behind a proxy that passes the name on, or not.
            &[("host", "videos.example.com"), ("origin", "https://videos.example.com")],
            &[host, ("origin", "https://videos.example.com"), ("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(judged(&Method::POST, headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for refusal in [Refusal::CrossSite, Refusal::UnknownHost("evil.example".into())] {
            let text = format!("{:?}", refused(&refusal));
            assert!(text.contains("http.public-names"), "{text}");
        }
    }
}
