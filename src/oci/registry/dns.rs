//! Name resolution without the C library, whose resolver does not work in a static program.
//!
//! `/etc/hosts` and `/etc/resolv.conf` are read as resolv.conf(5) says. A file
//! that is missing or names no server means the server on this machine; the
//! HTTP library's own fallback would tell the names we look up to a public
//! resolver, which an air-gapped site must never see.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

/// A name that could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("looking up `{name}` with name server {servers}")]
pub(super) struct LookupError {
    name: String,
    servers: String,
    source: Box<NetError>,
}

impl LookupError {
    /// Whether the name is known not to exist, so that asking again is no use.
    pub(super) fn is_final(&self) -> bool {
        self.source.is_no_records_found()
    }
}

/// Looks names up as the machine is configured to.
#[derive(Debug, Clone)]
pub(super) struct SystemResolver(Arc<State>);

#[derive(Debug)]
struct State {
    config: ResolverConfig,
    options: ResolverOpts,
    /// Made on first use, because its sockets belong to the runtime that asks.
    resolver: OnceCell<TokioResolver>,
}

impl SystemResolver {
    /// Reads the machine's configuration now; later changes go unnoticed.
    pub(super) fn new() -> Self {
        let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
        let (config, options) = resolver_config(&text);
        Self::with(config, options)
    }

    fn with(config: ResolverConfig, mut options: ResolverOpts) -> Self {
        // The connector tries both families at once and takes the quicker one.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Self(Arc::new(State { config, options, resolver: OnceCell::new() }))
    }

    async fn lookup(&self, name: &str) -> Result<Vec<SocketAddr>, LookupError> {
        let failed =
            |source: NetError| LookupError { name: name.to_owned(), servers: self.servers(), source: source.into() };
        let resolver = self.0.resolver.get_or_try_init(|| self.build()).await.map_err(failed)?;
        let found = resolver.lookup_ip(name).await.map_err(failed)?;
        Ok(found.iter().map(|address| SocketAddr::new(address, 0)).collect())
    }

    async fn build(&self) -> Result<TokioResolver, NetError> {
        let config = self.0.config.clone();
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = self.0.options.clone();
        builder.build()
    }

    fn servers(&self) -> String {
        let servers = self.0.config.name_servers().iter().map(|server| server.ip.to_string());
        servers.collect::<Vec<_>>().join(", ")
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses: Addrs = Box::new(resolver.lookup(name.as_str()).await?.into_iter());
            Ok(addresses)
        })
    }
}

/// Parses resolv.conf(5); what it leaves out is as that page says.
fn resolver_config(text: &[u8]) -> (ResolverConfig, ResolverOpts) {
    let local = b"\nnameserver 127.0.0.1\n";
    parse_resolv_conf(text).or_else(|_| parse_resolv_conf([text, local].concat())).unwrap_or_else(|_| {
        let server = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        (ResolverConfig::from_parts(None, Vec::new(), vec![server]), ResolverOpts::default())
    })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;
    use crate::oci::registry::RegistryError;
    use crate::oci::registry::runtime::IoThread;
    use crate::sys::Interrupt;

    #[test]
    fn a_file_without_servers_means_the_local_one() {
        for (text, servers) in [
            ("", "127.0.0.1"),
            ("search example.com\noptions ndots:2\n", "127.0.0.1"),
            ("# nameserver 192.0.2.1\n", "127.0.0.1"),
            ("nameserver 192.0.2.1\nnameserver 192.0.2.2\n", "192.0.2.1, 192.0.2.2"),
            ("nameserver 2001:db8::1\n", "2001:db8::1"),
            ("\0\u{fffd}nonsense", "127.0.0.1"),
        ] {
            let (config, options) = resolver_config(text.as_bytes());
            assert_eq!(SystemResolver::with(config, options).servers(), servers, "{text:?}");
        }
        let (config, options) = resolver_config(b"search example.com\noptions ndots:2\n");
        assert_eq!((config.search().len(), options.ndots), (1, 2), "the rest of the file still counts");
    }

    /// Answers `A` queries for any name but those beginning with `no` with 127.0.0.7, and everything else with nothing.
    fn answer(query: &[u8]) -> Vec<u8> {
        let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let known = !query[13..].starts_with(b"no");
        let address = known && query[end - 3] == 1;
        let status = if known { 0x80 } else { 0x83 };
        let mut reply =
            [&query[..2], &[0x81, status, 0, 1, 0, u8::from(address), 0, 0, 0, 0], &query[12..end]].concat();
        if address {
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 7]);
        }
        reply
    }

    fn resolver_asking_a_test_server() -> SystemResolver {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut server = NameServerConfig::udp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        server.connections[0].port = socket.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut query) {
                socket.send_to(&answer(&query[..length]), peer).unwrap();
            }
        });
        SystemResolver::with(ResolverConfig::from_parts(None, Vec::new(), vec![server]), ResolverOpts::default())
    }

    #[test]
    fn names_are_asked_of_the_configured_server() {
        let resolver = resolver_asking_a_test_server();
        let io = IoThread::start(Interrupt::default()).unwrap();
        let lookup = |name: &'static str| {
            let resolver = resolver.clone();
            io.run(async move { Ok::<_, RegistryError>(resolver.lookup(name).await) }).unwrap()
        };
        assert_eq!(lookup("registry.test.").unwrap(), ["127.0.0.7:0".parse().unwrap()]);
        assert!(lookup("localhost").unwrap().iter().all(|address| address.ip().is_loopback()));
        let error = lookup("nowhere.test.").unwrap_err();
        assert!(error.is_final() && error.to_string().contains("127.0.0.1"), "{error} {:?}", error.source);
    }

    #[test]
    fn the_http_client_uses_it() {
        let listener = std::net::TcpListener::bind("127.0.0.7:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        });
        let client = reqwest::Client::builder()
            .dns_resolver(resolver_asking_a_test_server())
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let io = IoThread::start(Interrupt::default()).unwrap();
        let url = format!("http://registry.test:{port}/");
        let status = io.run(async { Ok::<_, RegistryError>(client.get(url).send().await.unwrap().status()) }).unwrap();
        assert_eq!(status, 204);
        served.join().unwrap();
    }
}
