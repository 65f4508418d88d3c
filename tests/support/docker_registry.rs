//! A real registry (Debian's docker-registry) on a free loopback port.
#![expect(clippy::disallowed_methods, reason = "tests start the programs they are about")]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs until dropped; its storage goes with it.
#[derive(Debug)]
pub(crate) struct DockerRegistry {
    child: Child,
    port: u16,
    _storage: tempfile::TempDir,
}

impl DockerRegistry {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// With `user` / `secret` as the only login (the hash is bcrypt of that password).
    pub(crate) fn start_with_login() -> Self {
        Self::start_with("user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")
    }

    fn start_with(htpasswd: &str) -> Self {
        // Another program may take the port between our look and the registry's.
        (0..5).find_map(|_| Self::try_start(htpasswd)).expect("docker-registry starts (Debian package docker-registry)")
    }

    fn try_start(htpasswd: &str) -> Option<Self> {
        let storage = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = storage.path().display();
        let auth = if htpasswd.is_empty() {
            String::new()
        } else {
            std::fs::write(storage.path().join("htpasswd"), htpasswd).unwrap();
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {root}/htpasswd\n")
        };
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {root}/data\n\
             http:\n  addr: 127.0.0.1:{port}\n{auth}"
        );
        std::fs::write(storage.path().join("config.yml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(storage.path().join("config.yml"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let registry = Self { child, port, _storage: storage };
        registry.is_up().then_some(registry)
    }

    fn is_up(&self) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// `host:port` as in a reference.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Pushes an image of a layout with skopeo, all platforms, bytes unchanged.
    pub(crate) fn push(&self, layout: &Path, tag: &str, name: &str) {
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false"]);
        command.args(["--dest-creds", "user:secret", "--quiet"]);
        command.arg(format!("oci:{}:{tag}", layout.display())).arg(format!("docker://{}/{name}", self.address()));
        let output = command.stdin(Stdio::null()).output().expect("skopeo runs (Debian package skopeo)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
