//! A gateway that lies: about sizes, about bytes, about how often it answers, about when it is done.
#![allow(clippy::unwrap_used)]

use encompute_protocol::BlobDigest;
use encompute_store::{Blobs, ByteLimit, Class, GatewayClient, GetError, PutError};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const LIMIT: ByteLimit = ByteLimit(1_000);
const BLOB: &[u8] = b"the blob that was asked for";

fn wanted() -> BlobDigest {
    BlobDigest::of(BLOB)
}

/// How a gateway answers a request on one connection.
#[derive(Clone)]
enum Lie {
    /// These bytes, and the connection stays open.
    Say(Vec<u8>),
    /// These bytes, and the end.
    SayAndLeave(Vec<u8>),
    /// The first bytes once, the second again and again.
    Repeat(Vec<u8>, Vec<u8>),
    /// As the last, a piece every ten milliseconds.
    Drip(Vec<u8>, Vec<u8>),
}

/// A client of a gateway that tells this lie to every request.
async fn gateway(lie: Lie) -> GatewayClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = GatewayClient::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(tell(stream, lie.clone()));
        }
    });
    client
}

/// Ends when the client hangs up.
async fn tell(mut stream: TcpStream, lie: Lie) {
    let mut heard = Vec::new();
    loop {
        let mut piece = [0; 4_096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => heard.extend_from_slice(&piece[..read]),
        }
        while let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
            heard.drain(..end + 4);
            let told = match &lie {
                Lie::Say(bytes) => stream.write_all(bytes).await,
                Lie::SayAndLeave(bytes) => {
                    let _ = stream.write_all(bytes).await;
                    return;
                }
                Lie::Repeat(first, again) => for_ever(&mut stream, first, again, Duration::ZERO).await,
                Lie::Drip(first, again) => for_ever(&mut stream, first, again, Duration::from_millis(10)).await,
            };
            if told.is_err() {
                return;
            }
        }
    }
}

async fn for_ever(stream: &mut TcpStream, first: &[u8], again: &[u8], every: Duration) -> std::io::Result<()> {
    stream.write_all(first).await?;
    let mut ticks = tokio::time::interval(every.max(Duration::from_micros(1)));
    loop {
        if !every.is_zero() {
            ticks.tick().await;
        }
        stream.write_all(again).await?;
    }
}

fn ok(announced: usize, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {announced}\r\n\r\n").as_bytes(), body].concat()
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

async fn get(lie: Lie) -> GetError {
    gateway(lie).await.get(wanted(), LIMIT).await.unwrap_err()
}

#[tokio::test]
async fn the_truth_is_taken() {
    let client = gateway(Lie::Say(ok(BLOB.len(), BLOB))).await;
    assert_eq!(client.get(wanted(), LIMIT).await.unwrap(), BLOB);
}

#[tokio::test]
async fn a_swapped_blob_is_damaged() {
    let other = b"a blob that was asked for before";
    let got = get(Lie::Say(ok(other.len(), other))).await;
    assert!(matches!(got, GetError::Damaged { found, .. } if found == BlobDigest::of(other)), "{got:?}");
    assert_eq!(got.class(), Class::Unverified);
}

#[tokio::test]
async fn fewer_bytes_than_announced_are_truncated() {
    let got = get(Lie::SayAndLeave(ok(BLOB.len() + 1, BLOB))).await;
    assert!(matches!(got, GetError::Truncated { .. }), "{got:?}");
}

#[tokio::test]
async fn more_bytes_than_announced_are_never_taken_for_the_blob() {
    let got = get(Lie::Say(ok(BLOB.len() - 1, BLOB))).await;
    assert!(matches!(got, GetError::Damaged { .. }), "{got:?}");
}

#[tokio::test]
async fn an_announcement_over_the_limit_is_refused_before_a_byte_is_read() {
    let got = get(Lie::Repeat(ok(1 << 40, b""), vec![0; 4_096])).await;
    assert!(matches!(got, GetError::TooLarge { found_bytes: 0x100_0000_0000, .. }), "{got:?}");
}

#[tokio::test]
async fn a_body_without_an_end_is_refused_at_the_limit() {
    let piece = [&b"1000\r\n"[..], &[0; 4_096], b"\r\n"].concat();
    let got = get(Lie::Repeat(CHUNKED.to_vec(), piece)).await;
    assert!(matches!(got, GetError::TooLarge { found_bytes: 1_001.., .. }), "{got:?}");
}

#[tokio::test]
async fn a_body_that_drips_within_the_limit_is_given_up_after_its_time() {
    let client = gateway(Lie::Drip(CHUNKED.to_vec(), b"1\r\nx\r\n".to_vec())).await;
    let got = client.within(Duration::from_millis(300)).get(wanted(), ByteLimit(1 << 30)).await.unwrap_err();
    assert!(matches!(got, GetError::TimedOut { .. }) && got.class() == Class::TimedOut, "{got:?}");
}

#[tokio::test]
async fn a_head_without_an_end_is_given_up() {
    let got = get(Lie::Repeat(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(100))).await;
    assert!(matches!(got, GetError::Unreachable { .. }), "{got:?}");
}

#[tokio::test]
async fn bytes_that_are_no_http_are_no_answer() {
    let got = get(Lie::SayAndLeave(b"\x16\x03\x01\x00\x2a".to_vec())).await;
    assert!(matches!(got, GetError::Unreachable { .. }), "{got:?}");
}

#[tokio::test]
async fn a_second_answer_to_one_request_answers_no_other() {
    // The second would be the right one for the blob that is asked for next.
    let first = b"the blob asked for first";
    let client = gateway(Lie::Say([ok(first.len(), first), ok(BLOB.len(), BLOB)].concat())).await;
    assert_eq!(client.get(BlobDigest::of(first), LIMIT).await.unwrap(), &first[..]);
    let got = client.get(wanted(), LIMIT).await.unwrap_err();
    assert!(matches!(got, GetError::Damaged { found, .. } if found == BlobDigest::of(first)), "{got:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = gateway(Lie::Say(ok(BLOB.len(), BLOB))).await;
    let location = format!("{}/v1/blobs/{}", elsewhere.url(), wanted());
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let got = get(Lie::Say(redirect.into_bytes())).await;
    assert!(matches!(got, GetError::Refused { status: 302, .. }), "{got:?}");
}

#[tokio::test]
async fn words_of_a_refusal_are_cut_and_cannot_move_a_terminals_cursor() {
    let head = b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n";
    let piece = [&b"1000\r\n"[..], &b"\x1b[2J".repeat(1_024), b"\r\n"].concat();
    let GetError::Refused { status: 500, reason, .. } = get(Lie::Repeat(head.to_vec(), piece)).await else {
        unreachable!("another error")
    };
    assert!(reason.len() <= 200 && !reason.contains('\x1b'), "{reason:?}");
}

#[tokio::test]
async fn an_upload_that_nobody_confirms_does_not_count_as_kept() {
    for (answer, class) in [
        (&b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"[..], Class::Refused),
        (b"HTTP/1.1 429 Wait\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", Class::Unreachable),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", Class::Refused),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Class::Unreachable),
    ] {
        let put = gateway(Lie::SayAndLeave(answer.to_vec())).await.put(BLOB.into()).await.unwrap_err();
        assert_eq!(put.class(), class, "{put:?}");
    }
    let full = b"HTTP/1.1 507 Full\r\nencompute-left-bytes: nonsense\r\ncontent-length: 0\r\n\r\n";
    let put = gateway(Lie::SayAndLeave(full.to_vec())).await.put(BLOB.into()).await.unwrap_err();
    assert!(matches!(put, PutError::Full { left_bytes: 0, .. }), "{put:?}");
}
