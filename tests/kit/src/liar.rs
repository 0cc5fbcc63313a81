//! Somebody between two honest processes who may answer otherwise than the one who was asked.

use crate::process::KitError;
use core::fmt;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Longest head of a message.
const HEAD_BYTES: usize = 64 * 1024;

/// What somebody asked through a liar.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, `PUT`, ….
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
    head: Vec<u8>,
}

impl Asked {
    /// The round that is asked for, if one is.
    pub fn round(&self) -> Option<u16> {
        self.path.split_once("/rounds/")?.1.parse().ok()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.method, self.path, self.body.len())
    }
}

/// What an honest service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    head: Vec<u8>,
}

/// What a liar says to one question.
pub enum Lie {
    /// What the honest service says.
    Truth,
    /// 200 and these bytes; the honest service is not asked.
    Body(Vec<u8>),
    /// The honest service is asked; what is said is made of its answer.
    Altered(Box<dyn FnOnce(Told) -> Vec<u8> + Send>),
    /// The same, but what is made of it are bytes of HTTP.
    Retold(Box<dyn FnOnce(Told) -> Vec<u8> + Send>),
    /// These bytes of HTTP, and the end of the connection.
    Raw(Vec<u8>),
    /// A body that claims so many bytes and has these, and the end of the connection.
    Announced(u64, Vec<u8>),
    /// A body without an end.
    Endless,
    /// The end of the connection.
    Silence,
}

type Liability = Box<dyn FnMut(&Asked) -> Lie + Send>;

/// A service at an address of its own that passes on what it is asked, and what it is told unless it lies.
/// Dropping it ends it.
pub struct Liar {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    honest: Mutex<Option<String>>,
    lies: Mutex<Option<Liability>>,
    heard: Mutex<Vec<(Asked, Option<Told>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Liar {
    /// A liar who knows nobody yet, on a free port.
    ///
    /// # Errors
    /// [`KitError::Start`].
    pub async fn start() -> Result<Self, KitError> {
        let failed = |source| KitError::Start { what: "liar".to_owned(), source };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::<Shared>::default();
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = serving.clone();
                // Whoever hangs up is not answered.
                tokio::spawn(async move { drop(serve(stream, &shared).await) });
            }
        });
        Ok(Self { address, shared, task })
    }

    /// Where it is asked.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stands before the service at `url`.
    pub fn stands_before(&self, url: &str) {
        *lock(&self.shared.honest) = Some(url.trim_start_matches("http://").to_owned());
    }

    /// Answers each question from now on as `lies` says.
    pub fn tell(&self, lies: impl FnMut(&Asked) -> Lie + Send + 'static) {
        *lock(&self.shared.lies) = Some(Box::new(lies));
    }

    /// Tells the truth from now on, and forgets what it heard.
    pub fn repent(&self) {
        *lock(&self.shared.lies) = None;
        lock(&self.shared.heard).clear();
    }

    /// Every question since it last repented, with the truth where it was asked for.
    pub fn heard(&self) -> Vec<(Asked, Option<Told>)> {
        lock(&self.shared.heard).clone()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection, one question: every answer says that the connection is over.
async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (head, body) = read_message(&mut stream).await?;
    let words = String::from_utf8_lossy(&head);
    let mut words = words.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let asked = Asked { method, path, body, head };
    let lie = lock(&shared.lies).as_mut().map_or(Lie::Truth, |lies| lies(&asked));
    let said = match lie {
        Lie::Truth => {
            let told = ask_and_note(shared, asked).await?;
            [told.head.as_slice(), &told.body].concat()
        }
        Lie::Altered(alter) => answer(&alter(ask_and_note(shared, asked).await?)),
        Lie::Retold(retell) => retell(ask_and_note(shared, asked).await?),
        untrue => {
            lock(&shared.heard).push((asked, None));
            match untrue {
                Lie::Body(body) => answer(&body),
                Lie::Raw(bytes) => bytes,
                Lie::Announced(length, body) => [head_of(length).as_slice(), &body].concat(),
                Lie::Endless => return endless(stream).await,
                Lie::Silence | Lie::Truth | Lie::Altered(_) | Lie::Retold(_) => return Ok(()),
            }
        }
    };
    stream.write_all(&said).await?;
    stream.shutdown().await
}

async fn endless(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    let piece = [&b"10000\r\n"[..], &[0; 0x1_0000], b"\r\n"].concat();
    loop {
        stream.write_all(&piece).await?;
    }
}

fn head_of(length: u64) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").into_bytes()
}

fn answer(body: &[u8]) -> Vec<u8> {
    [head_of(body.len() as u64).as_slice(), body].concat()
}

async fn ask_and_note(shared: &Shared, asked: Asked) -> std::io::Result<Told> {
    let told = ask(shared, &asked).await?;
    lock(&shared.heard).push((asked, Some(told.clone())));
    Ok(told)
}

/// The honest service's answer to the same question.
async fn ask(shared: &Shared, asked: &Asked) -> std::io::Result<Told> {
    let honest = lock(&shared.honest).clone().unwrap_or_default();
    let mut stream = TcpStream::connect(honest).await?;
    stream.write_all(&closing(&asked.head)).await?;
    stream.write_all(&asked.body).await?;
    // The answer to a HEAD says how long a body would be that does not come.
    let (head, body) = if asked.method == "HEAD" {
        (read_head(&mut stream).await?.0, Vec::new())
    } else {
        read_message(&mut stream).await?
    };
    let status = String::from_utf8_lossy(&head).split_whitespace().nth(1).and_then(|code| code.parse().ok());
    Ok(Told { status: status.unwrap_or_default(), body, head: closing(&head) })
}

/// A head that says that the connection ends after its message.
fn closing(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let kept = text.trim_end().split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let lines: Vec<&str> = kept.chain(["connection: close", "", ""]).collect();
    lines.join("\r\n").into_bytes()
}

/// Head and body of a message whose length is announced, as every honest one here is.
async fn read_message(stream: &mut TcpStream) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let (head, mut body) = read_head(stream).await?;
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let from = body.len();
    body.resize(length.unwrap_or(0).max(from), 0);
    stream.read_exact(&mut body[from..]).await?;
    Ok((head, body))
}

/// The head of a message, and the beginning of what follows it.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((bytes, body));
        }
        if stream.read_buf(&mut bytes).await? == 0 || bytes.len() > HEAD_BYTES {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
