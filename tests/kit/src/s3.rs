//! A real object store that speaks S3: one SeaweedFS server, as `scripts/setup --tests` installs it.

use crate::process::{KitError, target_folder};
use core::time::Duration;
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::Instant,
};

/// Where the server is installed, below cargo's target folder.
const PROGRAM: &str = "tools/s3/bin/weed";
const BUCKET: &str = "blobs";
const KEY: (&str, &str) = ("AKIDGATEWAY", "a secret of the tests");
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at whether it is ready.
const PAUSE: Duration = Duration::from_millis(100);
/// Master, volume, filer and S3, and the same for their own conversation.
const PORTS: usize = 8;

/// An S3 server on free ports, with one bucket and one key that may use it. Dropping it kills it.
pub struct S3Server {
    program: PathBuf,
    ports: [u16; PORTS],
    child: Option<Child>,
    folder: TempDir,
}

impl S3Server {
    /// Starts a server with an empty bucket.
    ///
    /// # Errors
    /// [`KitError::NotBuilt`] where it was not installed; [`KitError::NotReady`].
    pub async fn start() -> Result<Self, KitError> {
        let failed = |source| KitError::Start { what: "S3 server".to_owned(), source };
        let program = target_folder()?.join(PROGRAM);
        if !program.is_file() {
            let folder = program.parent().unwrap_or(&program).to_owned();
            return Err(KitError::NotInstalled { program: "weed".to_owned(), folder });
        }
        let folder = tempfile::Builder::new().prefix("encompute-s3-").tempdir().map_err(failed)?;
        let (key, secret) = KEY;
        let identity = format!(
            r#"{{"identities":[{{"name":"gateway","credentials":[{{"accessKey":"{key}","secretKey":"{secret}"}}],"actions":["Admin","Read","Write","List"]}}]}}"#
        );
        std::fs::write(folder.path().join("s3.json"), identity).map_err(failed)?;
        let mut server = Self { program, ports: free_ports().map_err(failed)?, child: None, folder };
        server.restart().await?;
        Ok(server)
    }

    /// Starts it again on its folder and its ports.
    ///
    /// # Errors
    /// [`KitError`].
    pub async fn restart(&mut self) -> Result<(), KitError> {
        self.kill().await;
        let failed = |source| KitError::Start { what: "S3 server".to_owned(), source };
        let path = |name: &str| self.folder.path().join(name);
        std::fs::create_dir_all(path("data")).map_err(failed)?;
        let log = std::fs::File::options().create(true).append(true).open(path("log")).map_err(failed)?;
        let names = ["master", "volume", "filer", "s3"];
        let ports = names.iter().zip(self.ports.chunks(2)).flat_map(|(name, ports)| {
            [format!("-{name}.port={}", ports[0]), format!("-{name}.port.grpc={}", ports[1])]
        });
        // The system ends it with the thread that started it, whatever ends that: it has no leash of its own.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args(["-logtostderr", "server", "-ip=127.0.0.1", "-filer", "-s3", "-master.telemetry=false"])
            .args(["-volume.max=8", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-s3.autoCreateBucket", &format!("-s3.config={}", path("s3.json").display())])
            .arg(format!("-dir={}", path("data").display()))
            .args(ports)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        self.child = Some(child);
        let (until, mut again) = (Instant::now() + READY_WITHIN, tokio::time::interval(PAUSE));
        while !self.is_ready().await {
            if Instant::now() > until {
                let log = std::fs::read_to_string(path("log")).unwrap_or_default();
                let log = log.lines().rev().take(20).collect::<Vec<_>>().join("\n");
                let why = format!("nothing within {} s", READY_WITHIN.as_secs());
                return Err(KitError::NotReady { what: "S3 server".to_owned(), why, log });
            }
            again.tick().await;
        }
        Ok(())
    }

    /// True once every part of it answers: the bucket is there, bytes can be put where bytes are, S3 is spoken.
    async fn is_ready(&self) -> bool {
        let bucket = self.filer("PUT", &format!("/buckets/{BUCKET}/"), &[]).await;
        let bytes = self.filer("PUT", "/ready", &[7; 64 * 1024]).await;
        let (bucket, bytes) = (bucket.unwrap_or_default(), bytes.unwrap_or_default());
        (200..300).contains(&bucket) && (200..300).contains(&bytes) && answers(self.ports[6]).await
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // What cannot be killed is gone already.
            let _ = child.kill().await;
        }
    }

    /// The URL of a folder in the bucket, as `encompute gateway serve --store` takes it.
    pub fn store(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The variables by which any S3 client finds the server, and its key.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.ports[6]);
        [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", KEY.0),
            ("AWS_SECRET_ACCESS_KEY", KEY.1),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Puts other bytes where an object is, behind the back of whoever put it there.
    ///
    /// # Errors
    /// [`KitError::Command`].
    pub async fn overwrite(&self, object: &str, bytes: &[u8]) -> Result<(), KitError> {
        let told = self.filer("PUT", &format!("/buckets/{BUCKET}/{object}"), bytes).await;
        match told {
            Ok(200..300) => Ok(()),
            told => Err(KitError::Command { what: format!("overwriting {object}"), why: format!("{told:?}") }),
        }
    }

    /// Status of what the server's own file interface says.
    async fn filer(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[4])).await?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        status(stream).await
    }
}

/// True once somebody speaks HTTP there.
async fn answers(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        status(stream).await
    };
    ask.await.is_ok_and(|status| status == 200)
}

async fn status(mut stream: TcpStream) -> std::io::Result<u16> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let words = String::from_utf8_lossy(&answer);
    Ok(words.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or_default())
}

/// Ports that nobody listens on now, below those that the system gives to connections: it would give them away
/// while the server is down.
fn free_ports() -> std::io::Result<[u16; PORTS]> {
    const FIRST: u64 = 20_000;
    const COUNT: u64 = 12_000;
    let (mut ports, mut held) = ([0; PORTS], Vec::new());
    while held.len() < PORTS {
        let port = (FIRST + RandomState::new().build_hasher().finish() % COUNT) as u16;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            ports[held.len()] = listener.local_addr()?.port();
            held.push(listener);
        }
    }
    Ok(ports)
}

/// Where a blob is in the bucket.
pub fn object_of(prefix: &str, digest: &encompute_protocol::BlobDigest) -> String {
    let name = digest.to_string();
    let name = name.trim_start_matches("0x");
    Path::new(prefix).join(&name[..2]).join(name).display().to_string()
}
