//! A small HTTP server whose every answer is decided by the test, lies included.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path with query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// How often this path was asked for before.
    pub(crate) earlier: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What it gets. Every connection is closed after one answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The length stated; none for a body that ends with the connection.
    length: Option<usize>,
    /// Wait this long before the body.
    pause: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: Vec::new(), length: Some(body.len()), body, pause: Duration::ZERO }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends only so many bytes of the body, still promising all of them.
    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.body.truncate(after);
        self
    }

    pub(crate) fn stating(self, length: Option<usize>) -> Self {
        Self { length, ..self }
    }

    pub(crate) fn stalling(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    fn send(&self, stream: &mut impl Write) -> std::io::Result<()> {
        write!(stream, "HTTP/1.1 {} Scripted\r\nConnection: close\r\n", self.status)?;
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        if let Some(length) = self.length {
            write!(stream, "Content-Length: {length}\r\n")?;
        }
        stream.write_all(b"\r\n")?;
        stream.flush()?;
        std::thread::sleep(self.pause);
        stream.write_all(&self.body)?;
        stream.flush()
    }
}

type Handler = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

/// Serves until dropped, each connection on a thread of its own.
pub(crate) struct Server {
    port: u16,
    log: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(Box::new(handler), None)
    }

    /// The same inside TLS.
    pub(crate) fn start_tls(
        tls: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(Box::new(handler), Some(tls))
    }

    fn start_with(handler: Handler, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (log, stop): (Arc<Mutex<Vec<Request>>>, Arc<AtomicBool>) = Default::default();
        let (handler, thread_log, thread_stop) = (Arc::new(handler), Arc::clone(&log), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if thread_stop.load(Ordering::Relaxed) {
                    break;
                }
                let (handler, log, tls) = (Arc::clone(&handler), Arc::clone(&thread_log), tls.clone());
                // A client that hangs up early is often what a test is about.
                std::thread::spawn(move || serve(stream, tls, &log, &handler).ok());
            }
        });
        Self { port, log, stop }
    }

    /// `host:port` as in a reference.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The requests so far whose path contains `part`.
    pub(crate) fn requests(&self, part: &str) -> Vec<Request> {
        self.log.lock().unwrap().iter().filter(|request| request.path.contains(part)).cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    log: &Mutex<Vec<Request>>,
    handler: &Handler,
) -> std::io::Result<()> {
    let Some(tls) = tls else {
        return answer(&stream, &stream, log, handler);
    };
    let connection = rustls::ServerConnection::new(tls).map_err(std::io::Error::other)?;
    let mut tls = rustls::StreamOwned::new(connection, stream);
    let request = read_request(&mut tls, log)?;
    handler(&request).send(&mut tls)?;
    tls.conn.send_close_notify();
    tls.flush()
}

fn answer(
    input: impl Read,
    mut output: impl Write,
    log: &Mutex<Vec<Request>>,
    handler: &Handler,
) -> std::io::Result<()> {
    let request = read_request(input, log)?;
    handler(&request).send(&mut output)
}

fn read_request(input: impl Read, log: &Mutex<Vec<Request>>) -> std::io::Result<Request> {
    let mut input = BufReader::new(input);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    input.read_exact(&mut body)?;
    let mut log = log.lock().unwrap();
    let earlier = log.iter().filter(|request| request.path == path).count();
    let request = Request { method, path, headers, body: String::from_utf8(body).unwrap(), earlier };
    log.push(request.clone());
    Ok(request)
}
