//! Links carry bytes, and do to them what the weather says.
#![allow(clippy::unwrap_used)]

use encompute_kit::{Called, Caller, Links, Weather};
use std::{io::ErrorKind, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const LINK: (Caller, Called) = (Caller::Client, Called::Worker);
/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(30);

/// Links whose worker says everything again, and the address of one.
async fn echo() -> (Links, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let links = Links::lay().unwrap();
    links.aim(LINK.1, listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    let address = links.address(LINK.0, LINK.1).unwrap();
    (links, address)
}

async fn say(stream: &mut TcpStream, word: &[u8; 4]) -> std::io::Result<()> {
    stream.write_all(word).await?;
    let mut said = [0; 4];
    stream.read_exact(&mut said).await?;
    assert_eq!(&said, word);
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_what_stands_refuses_what_is_new_and_heals_on_the_same_port() {
    let (links, address) = echo().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    say(&mut stream, b"here").await.unwrap();
    links.set(LINK.0, LINK.1, Weather::Cut);
    let ended = timeout(LONG, stream.read(&mut [0])).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let refused = async {
        // The listener goes a moment after the connections.
        while let Ok(mut stream) = TcpStream::connect(address).await {
            assert!(say(&mut stream, b"gone").await.is_err());
        }
    };
    timeout(LONG, refused).await.unwrap();
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    links.clear();
    let healed = async {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    say(&mut timeout(LONG, healed).await.unwrap(), b"back").await.unwrap();
}

#[tokio::test]
async fn a_silent_link_takes_connections_and_bytes_and_delivers_them_when_it_is_over() {
    let (links, address) = echo().await;
    links.set(LINK.0, LINK.1, Weather::Silent);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"late").await.unwrap();
    let mut said = [0; 4];
    assert!(timeout(Duration::from_millis(100), stream.read_exact(&mut said)).await.is_err());
    links.clear();
    timeout(LONG, stream.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(&said, b"late");
}

#[tokio::test]
async fn on_a_shuffled_link_what_was_asked_later_is_answered_earlier() {
    let (links, address) = echo().await;
    links.set(LINK.0, LINK.1, Weather::Shuffled { late: Duration::from_secs(2) });
    // Every second connection is the late one; which of two it is depends on who is taken first.
    let (mut one, mut two) = (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    one.write_all(b"1st!").await.unwrap();
    two.write_all(b"2nd!").await.unwrap();
    let (mut first, mut second) = ([0; 4], [0; 4]);
    tokio::select! {
        read = one.read_exact(&mut first) => { read.unwrap(); }
        read = two.read_exact(&mut second) => { read.unwrap(); }
    }
    assert!((first == [0; 4]) != (second == [0; 4]), "one was overtaken");
}

#[tokio::test]
async fn a_slow_link_delivers_everything_at_its_own_pace() {
    let (links, address) = echo().await;
    links.set(LINK.0, LINK.1, Weather::Slow { bytes_per_second: 64 * 1024, late: Duration::ZERO });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut from, mut to) = stream.split();
    let bytes = vec![7; 32 * 1024];
    let mut back = vec![0; bytes.len()];
    let began = std::time::Instant::now();
    let (wrote, read) = tokio::join!(to.write_all(&bytes), timeout(LONG, from.read_exact(&mut back)));
    wrote.unwrap();
    read.unwrap().unwrap();
    assert_eq!(back, bytes);
    assert!(began.elapsed() > Duration::from_millis(450), "{:?}", began.elapsed());
}
