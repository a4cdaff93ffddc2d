//! Sends HTTP requests sequentially on each of several keep-alive connections, and measures each.
//! `bench/` uses it, because a client in Python spends more time on a request than the server.
//!
//! `keep_alive HOST:PORT CONNECTIONS FILE`: the file contains complete requests, each preceded by
//! its length as a little-endian `u32`. Standard output gets the total time in microseconds as a
//! `u64`, then for each request, in order, its microseconds and the length of the response's body
//! as two `u32`, and the body.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Answer {
    took: Duration,
    body: Vec<u8>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, file] = arguments.as_slice() else {
        return Err("keep_alive HOST:PORT CONNECTIONS FILE".into());
    };
    let connections: usize = connections.parse()?;
    let bytes = std::fs::read(file)?;
    let requests = split(&bytes)?;
    let started = Instant::now();
    let answers = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|first| {
                let mine = requests.iter().skip(first).step_by(connections);
                scope.spawn(move || ask_all(address, mine.copied()))
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().map_err(|_| "a client panicked")?)
            .collect::<Result<Vec<_>, Failure>>()
    })?;
    let total = started.elapsed();
    let mut out = io::BufWriter::new(io::stdout().lock());
    out.write_all(&u64::try_from(total.as_micros())?.to_le_bytes())?;
    let mut answers: Vec<_> = answers.into_iter().map(Vec::into_iter).collect();
    for number in 0..requests.len() {
        let Some(answer) = answers[number % connections].next() else {
            return Err("fewer responses than requests".into());
        };
        out.write_all(&u32::try_from(answer.took.as_micros())?.to_le_bytes())?;
        out.write_all(&u32::try_from(answer.body.len())?.to_le_bytes())?;
        out.write_all(&answer.body)?;
    }
    Ok(out.flush()?)
}

fn split(mut bytes: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    let mut requests = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (request, rest) = rest.split_at_checked(length).ok_or("a truncated request")?;
        requests.push(request);
        bytes = rest;
    }
    Ok(requests)
}

fn ask_all<'a>(
    address: &str,
    requests: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Answer>, Failure> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(1 << 20);
    requests
        .map(|request| {
            let started = Instant::now();
            connection.write_all(request)?;
            let body = read_answer(&mut connection, &mut buffer)?;
            Ok(Answer {
                took: started.elapsed(),
                body,
            })
        })
        .collect()
}

/// Reads one response with a length; any status except 200 is an error.
fn read_answer(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Vec<u8>, Failure> {
    buffer.clear();
    let mut part = [0; 64 << 10];
    loop {
        if let Some((head, body)) = head_and_body(buffer)?
            && buffer.len() >= head + body
        {
            return Ok(buffer[head..head + body].to_vec());
        }
        match connection.read(&mut part)? {
            0 => return Err("the server closed the connection".into()),
            read => buffer.extend_from_slice(&part[..read]),
        }
    }
}

/// The lengths of head and body, once the head is complete.
fn head_and_body(answer: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&answer[..end])?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(String::from_utf8_lossy(answer).into_owned().into());
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("a response without a length")?
        .1;
    Ok(Some((end + 4, length.trim().parse()?)))
}
