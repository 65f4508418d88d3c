//! Registries and lines that break off, limit, stall and lie about lengths.

use std::time::{Duration, Instant};

use imgbuild::oci::ImageSource as _;
use imgbuild::oci::copy::{Copier, CopyError};
use imgbuild::oci::registry::auth::Credentials;
use imgbuild::oci::registry::{Registry, RegistryConfig, RegistryError, Transport};
use imgbuild::sys::Interrupt;

use crate::dir_sink::DirSink;
use crate::fixture_image::{Contents, Image, MANIFEST};
use crate::http_server::{Reply, Request, Server};
use crate::{chain, config, copy_to, locator, open, platform, reference, serve_range, server};

fn contents() -> (Contents, Image) {
    let mut contents = Contents::default();
    let image = Image::new("amd64");
    contents.add(&image, Some("t"));
    (contents, image)
}

/// A server that answers requests for the first, large layer as `lie` says.
fn lying_about_the_layer(lie: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static) -> (Server, Image) {
    let (contents, image) = contents();
    let (digest, bytes) = (image.layer_digest(0), image.layers[0].1.clone());
    let server = server(&contents, move |request| request.path.ends_with(&digest).then(|| lie(request, &bytes)));
    (server, image)
}

#[test]
fn a_broken_transfer_is_resumed_where_it_broke() {
    let (server, image) = lying_about_the_layer(|request, bytes| match request.earlier {
        0 => serve_range(bytes, request).cut(300_000),
        1 => serve_range(bytes, request).cut(200_000),
        _ => serve_range(bytes, request),
    });
    let sink = DirSink::new();
    copy_to(&reference(&server, "t"), &sink).unwrap();
    assert_eq!(sink.read(&image.layer_digest(0)), image.layers[0].1);
    let requests = server.requests(&image.layer_digest(0));
    let ranges: Vec<_> = requests.iter().map(|request| request.header("range")).collect();
    assert_eq!(ranges, ["", "bytes=300000-", "bytes=500000-"]);
}

#[test]
fn a_registry_without_ranges_is_read_from_the_beginning() {
    let (server, image) = lying_about_the_layer(|request, bytes| match request.earlier {
        0 => Reply::new(200, bytes).cut(300_000),
        _ => Reply::new(200, bytes),
    });
    let sink = DirSink::new();
    copy_to(&reference(&server, "t"), &sink).unwrap();
    assert_eq!(sink.read(&image.layer_digest(0)), image.layers[0].1);
}

#[test]
fn a_wrong_part_is_refused() {
    let (server, _) = lying_about_the_layer(|request, bytes| match request.earlier {
        0 => Reply::new(200, bytes).cut(300_000),
        _ => Reply::new(206, &bytes[1..]).header("Content-Range", format!("bytes 1-{}/*", bytes.len() - 1)),
    });
    let sink = DirSink::new();
    let text = chain(&copy_to(&reference(&server, "t"), &sink).unwrap_err());
    assert!(text.contains("asked for the bytes from 300000 on, got `bytes 1-"), "{text}");
}

#[test]
fn lengths_that_are_not_the_descriptors() {
    type Lie = fn(&Request, &[u8]) -> Reply;
    let cases: [(Lie, &str); 6] = [
        // Honest about being too short, and too long.
        (|_, bytes| Reply::new(200, &bytes[..1000]), "has 1000 bytes at the registry, its descriptor says"),
        (|_, bytes| Reply::new(200, [bytes, b"x"].concat()), "at the registry, its descriptor says"),
        // Without a length: ends early once and then has nothing more, always ends early, does not end.
        (
            |request, bytes| match request.header("range") {
                "" => Reply::new(200, &bytes[..1000]).stating(None),
                _ => Reply::new(416, ""),
            },
            "has 1000 bytes at the registry, its descriptor says",
        ),
        (|_, bytes| Reply::new(200, &bytes[..1000]).stating(None), "broke off after 1000 of"),
        (|_, bytes| Reply::new(200, [bytes, b"x"].concat()).stating(None), "at the registry, its descriptor says"),
        // Promises everything and never sends it.
        (|_, bytes| Reply::new(200, bytes).cut(0), "broke off after 0 of"),
    ];
    for (lie, message) in cases {
        let (server, image) = lying_about_the_layer(lie);
        let sink = DirSink::new();
        let text = chain(&copy_to(&reference(&server, "t"), &sink).unwrap_err());
        assert!(text.contains(message) && text.contains(&image.layer_digest(0)), "expected {message}: {text}");
        assert!(!sink.names().contains(&image.layer_digest(0)));
    }
}

#[test]
fn a_busy_registry_is_asked_again_when_it_says() {
    let (contents, _) = contents();
    let server = server(&contents, |request| {
        let busy = request.earlier == 0 && request.path.contains("manifests");
        busy.then(|| Reply::new(429, "").header("Retry-After", "1"))
    });
    let begin = Instant::now();
    copy_to(&reference(&server, "t"), &DirSink::new()).unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[test]
fn a_registry_that_wants_hours_is_an_error_at_once() {
    let server = Server::start(|_| Reply::new(429, "").header("Retry-After", "7200"));
    let error = open(&reference(&server, "t")).manifest(None).unwrap_err();
    assert!(matches!(error, RegistryError::RateLimited { wait, .. } if wait.as_secs() == 7200), "{error:?}");
    assert_eq!(server.requests("").len(), 1);
}

#[test]
fn errors_of_the_server_are_waited_out_up_to_a_limit() {
    for path in ["manifests", "blobs"] {
        let (contents, _) = contents();
        let broken = move |request: &Request| request.path.contains(path);
        let twice =
            server(&contents, move |request| (broken(request) && request.earlier < 2).then(|| Reply::new(500, "")));
        copy_to(&reference(&twice, "t"), &DirSink::new()).unwrap();
        let always = server(&contents, move |request| {
            broken(request).then(|| Reply::new(503, r#"{"errors":[{"message":"under repair"}]}"#))
        });
        let text = chain(&copy_to(&reference(&always, "t"), &DirSink::new()).unwrap_err());
        assert!(text.contains("answered 503 for") && text.ends_with("under repair"), "{text}");
        let asked = always.requests(path);
        assert!(asked.iter().filter(|request| request.path == asked[0].path).count() == 3, "{asked:?}");
    }
}

#[test]
fn a_manifest_may_not_be_larger_than_manifests_are() {
    let huge = vec![b' '; 5 << 20];
    for length in [Some(huge.len()), None] {
        let huge = huge.clone();
        let server =
            Server::start(move |_| Reply::new(200, huge.clone()).stating(length).header("Content-Type", MANIFEST));
        let name = reference(&server, "t");
        let error = open(&name).manifest(None).unwrap_err();
        assert_eq!(error.to_string(), format!("{name} is larger than 4.0 MiB, the most a manifest may have"));
    }
}

#[test]
fn an_error_page_of_any_size_does_not_hurt() {
    let page = vec![b'x'; 1 << 20];
    let server = Server::start(move |_| Reply::new(404, page.clone()));
    let name = reference(&server, "t");
    let error = open(&name).manifest(None).unwrap_err();
    assert_eq!(error.to_string(), format!("{name} does not exist"));
}

#[test]
fn a_stalled_transfer_can_be_interrupted() {
    let (server, _) = lying_about_the_layer(|_, bytes| Reply::new(200, bytes).stalling(Duration::from_secs(30)));
    let name = reference(&server, "t");
    let interrupt = Interrupt::default();
    let source = Registry::open(&name.parse().unwrap(), &config(), Credentials::Anonymous, interrupt.clone()).unwrap();
    let sink = DirSink::new();
    let begin = Instant::now();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            interrupt.set();
        });
        Copier::new(platform("amd64")).interrupt(interrupt.clone()).copy(&source, &locator(&name), &sink)
    });
    assert!(matches!(result, Err(CopyError::Interrupted)), "{result:?}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert!(sink.names().iter().all(|name| name.starts_with("sha256:")), "leftovers: {:?}", sink.names());
}

#[test]
fn a_silent_registry_is_given_up_on() {
    let server = Server::start(|_| Reply::new(200, "late").stalling(Duration::from_secs(30)));
    let mut config = config();
    config.timeouts.idle = Duration::from_millis(100);
    config.retry.attempts = 2;
    let name = reference(&server, "t");
    let source = Registry::open(&name.parse().unwrap(), &config, Credentials::Anonymous, Interrupt::default()).unwrap();
    let error = source.manifest(None).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { attempts: 2, .. }), "{error:?}");
    assert!(chain(&error).contains("timed out"), "{}", chain(&error));
}

/// `.invalid` never exists (RFC 6761), so this asks nobody; the words are those of our own resolver.
#[test]
fn a_name_that_does_not_exist_is_an_error_at_once() {
    let error = open("registry.invalid/a/b:t").manifest(None).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { attempts: 1, .. }), "{error:?}");
    let text = chain(&error);
    assert!(text.contains("looking up `registry.invalid` with name server"), "{text}");
}

/// The test runs itself again with a proxy in the environment.
#[test]
#[expect(clippy::disallowed_methods, reason = "proxies are found through the environment")]
fn proxies_are_used_except_for_loopback() {
    const INNER: &str = "IMGBUILD_TEST_WITH_PROXY";
    if std::env::var_os(INNER).is_some() {
        let direct = Server::start(|_| Reply::new(404, r#"{"errors":[{"message":"direct"}]}"#));
        let plain = |name: &str| {
            let transports = [("plain.invalid".to_owned(), Transport::Http)].into();
            let config = RegistryConfig { transports, ..config() };
            let image = name.parse().unwrap();
            Registry::open(&image, &config, Credentials::Anonymous, Interrupt::default()).unwrap().manifest(None)
        };
        assert!(chain(&plain("plain.invalid/a/b:t").unwrap_err()).ends_with("by proxy"));
        assert!(chain(&plain(&reference(&direct, "t")).unwrap_err()).ends_with("direct"));
        return;
    }
    let proxy = Server::start(|_| Reply::new(404, r#"{"errors":[{"message":"by proxy"}]}"#));
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "transfer::proxies_are_used_except_for_loopback"])
        .env(INNER, "1")
        .env("HTTP_PROXY", format!("http://{}", proxy.address()))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.requests("http://plain.invalid/v2/a/b/manifests/t").len(), 1);
    assert_eq!(proxy.requests("").len(), 1);
}

#[test]
fn one_bad_layer_stops_the_others() {
    let (contents, image) = contents();
    let (bad, slow) = (image.layer_digest(1), image.layer_digest(0));
    let blobs = contents.blobs.clone();
    let server = server(&contents, move |request| {
        if request.path.ends_with(&bad) {
            return Some(Reply::new(404, ""));
        }
        request
            .path
            .ends_with(&slow)
            .then(|| Reply::new(200, blobs[&slow].clone()).stalling(Duration::from_millis(500)))
    });
    let sink = DirSink::new();
    let error = copy_to(&reference(&server, "t"), &sink).unwrap_err();
    assert!(matches!(error, CopyError::Source { .. }), "the cause, not its consequence: {error:?}");
    assert!(!sink.names().contains(&image.layer_digest(0)), "{:?}", sink.names());
}
