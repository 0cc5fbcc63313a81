//! TCP links between the market's programs that a test can cut, silence, slow down and shuffle.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Who opens connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// The user's command.
    Client,
    /// Any worker.
    Worker,
    /// Any creator's service.
    Creator,
}

/// Who takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Called {
    /// The chain's node.
    Chain,
    /// The blob gateway.
    Gateway,
    /// The first worker.
    Worker,
    /// The first creator's service.
    Creator,
}

/// Everybody who calls anybody in a market: nobody else has anything to say to anybody.
pub const LINKS: [(Caller, Called); 8] = [
    (Caller::Client, Called::Chain),
    (Caller::Client, Called::Gateway),
    (Caller::Client, Called::Worker),
    (Caller::Worker, Called::Chain),
    (Caller::Worker, Called::Gateway),
    (Caller::Worker, Called::Creator),
    (Caller::Creator, Called::Chain),
    (Caller::Creator, Called::Gateway),
];

/// What becomes of bytes on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// They arrive.
    #[default]
    Clear,
    /// Connections are reset, new ones are refused.
    Cut,
    /// Connections stand and new ones are made, but nothing comes through until this is over.
    Silent,
    /// They come slowly.
    Slow {
        /// So many in a second, in either direction.
        bytes_per_second: u32,
        /// And each piece so much later.
        late: Duration,
    },
    /// What is answered on every second connection comes so much later: what was asked after it is answered before it.
    Shuffled {
        /// How much.
        late: Duration,
    },
}

/// Most bytes carried in one go.
const PIECE_BYTES: usize = 16 * 1024;
/// Connections that wait to be taken.
const BACKLOG: u32 = 128;
/// Pause before a port that cannot be had back at the moment is tried again.
const PORT_AGAIN: Duration = Duration::from_millis(20);

/// One caller's way to one service.
struct Link {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A way of its own from every caller to everybody it calls, all clear at first.
pub struct Links {
    links: BTreeMap<(Caller, Called), Link>,
    targets: BTreeMap<Called, Arc<OnceLock<SocketAddr>>>,
}

impl Links {
    /// Listens for all of [`LINKS`] on free ports. Nothing is carried to a service before [`Links::aim`].
    ///
    /// # Errors
    /// What the system says.
    pub fn lay() -> io::Result<Self> {
        let (mut links, mut targets) = (BTreeMap::new(), BTreeMap::new());
        for (caller, called) in LINKS {
            let target: &mut Arc<OnceLock<SocketAddr>> = targets.entry(called).or_default();
            let listener = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            let (sender, weather) = watch::channel(Weather::Clear);
            let task = tokio::spawn(serve(listener, address, target.clone(), weather));
            links.insert((caller, called), Link { address, weather: sender, task });
        }
        Ok(Self { links, targets })
    }

    /// Says where a service really listens, once: it keeps its port when it is started again.
    pub fn aim(&self, called: Called, address: SocketAddr) {
        if let Some(target) = self.targets.get(&called) {
            // Only the first service of a kind is called by links.
            let _ = target.set(address);
        }
    }

    /// Where a caller finds a service.
    pub fn address(&self, caller: Caller, called: Called) -> Option<SocketAddr> {
        self.links.get(&(caller, called)).map(|link| link.address)
    }

    /// Changes the weather on a link.
    pub fn set(&self, caller: Caller, called: Called, weather: Weather) {
        if let Some(link) = self.links.get(&(caller, called)) {
            link.weather.send_replace(weather);
        }
    }

    /// Clears the weather everywhere.
    pub fn clear(&self) {
        for link in self.links.values() {
            link.weather.send_replace(Weather::Clear);
        }
    }
}

/// A port that is taken and not listened on: whoever connects to it is refused, and nobody else gets it.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of before may linger on the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn again(address: SocketAddr) -> TcpSocket {
    loop {
        match bound(address) {
            Ok(socket) => return socket,
            Err(_) => tokio::time::sleep(PORT_AGAIN).await,
        }
    }
}

async fn serve(
    first: TcpListener,
    address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
    mut weather: watch::Receiver<Weather>,
) {
    let mut listener = Some(first);
    let mut connections: u64 = 0;
    loop {
        let listening = match listener.take() {
            Some(listener) => listener,
            None => {
                let held = again(address).await;
                if weather.wait_for(|weather| *weather != Weather::Cut).await.is_err() {
                    return;
                }
                match held.listen(BACKLOG) {
                    Ok(listener) => listener,
                    Err(_) => continue,
                }
            }
        };
        let mut cut = weather.clone();
        loop {
            tokio::select! {
                _ = cut.wait_for(|weather| *weather == Weather::Cut) => break,
                taken = listening.accept() => {
                    let (Ok((near, _)), Some(target)) = (taken, target.get()) else { continue };
                    tokio::spawn(carry(near, *target, weather.clone(), connections));
                    connections += 1;
                }
            }
        }
    }
}

/// Carries one connection until either side ends it, or the link is cut.
async fn carry(mut near: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>, number: u64) {
    let mut cut = weather.clone();
    let carried = async {
        let mut far = TcpStream::connect(target).await?;
        let carried = async {
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.split(), far.split());
            let asked = pump(&mut from_near, &mut to_far, weather.clone(), false);
            let answered = pump(&mut from_far, &mut to_near, weather.clone(), number % 2 == 1);
            tokio::try_join!(asked, answered).map(drop)
        };
        let carried = tokio::select! {
            carried = carried => carried,
            _ = cut.wait_for(|weather| *weather == Weather::Cut) => Err(io::ErrorKind::ConnectionReset.into()),
        };
        if carried.is_err() {
            // Without lingering, the end of a connection is a reset.
            far.set_zero_linger()?;
        }
        carried
    }
    .await;
    if carried.is_err() {
        // It is dropped next, reset or not.
        let _ = near.set_zero_linger();
    }
}

/// Carries bytes one way until they end. `second` is true for what is answered on every second connection.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut weather: watch::Receiver<Weather>,
    second: bool,
) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::ConnectionReset);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece).await?;
        let now = *weather.wait_for(|weather| *weather != Weather::Silent).await.map_err(gone)?;
        match now {
            Weather::Slow { bytes_per_second, late } => {
                let long = Duration::from_secs_f64(read as f64 / f64::from(bytes_per_second.max(1)));
                tokio::time::sleep(long + late).await;
            }
            Weather::Shuffled { late } if second => tokio::time::sleep(late).await,
            _ => {}
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..read]).await?;
    }
}
