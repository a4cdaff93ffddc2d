//! A server for tests: a function answers each request, and the requests are recorded.

use super::ServerArguments;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone)]
pub struct Request {
    /// Method and path.
    pub line: String,
    pub body: String,
}

type Script = dyn Fn(&Request) -> (u16, Value) + Send + Sync;

pub struct ScriptedServer {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ScriptedServer {
    /// `GET /ready` returns 200; the script answers all other requests.
    pub fn start(script: impl Fn(&Request) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, script): (_, Arc<Script>) = (Arc::clone(&requests), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                std::thread::spawn(move || serve(stream.unwrap(), &seen, &*script));
            }
        });
        Self { address, requests }
    }

    pub fn arguments(&self) -> ServerArguments {
        ServerArguments {
            address: crate::client::Address {
                server: self.address.clone(),
                api_key: None,
            },
            collection: "default".to_owned(),
        }
    }

    /// Bodies of the requests with this method and path, in order.
    pub fn bodies(&self, line: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let matching = requests.iter().filter(|request| request.line == line);
        matching.map(|request| request.body.clone()).collect()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>, script: &Script) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        let (status, answer) = if request.line == "GET /ready" {
            (200, Value::Null)
        } else {
            script(&request)
        };
        seen.lock().unwrap().push(request);
        let answer = answer.to_string();
        let length = answer.len();
        // The client may have closed the connection.
        let _ = writer.write_all(
            format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n{answer}").as_bytes(),
        );
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let length = head
        .iter()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = head.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request {
        line,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
