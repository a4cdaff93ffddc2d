//! The message printed once the server is ready: its address, model and data, and three commands to
//! try.

use std::net::SocketAddr;

use clipdb_api::engine::Engine;

use crate::configuration::Configuration;

/// The addresses that the server listens on, with the ports that were assigned.
#[derive(Clone, Copy)]
pub struct Addresses {
    pub main: SocketAddr,
    pub grpc: Option<SocketAddr>,
}

pub fn print(engine: &Engine, configuration: &Configuration, addresses: Addresses) {
    let tls = if configuration.tls.is_some() { "s" } else { "" };
    let url = format!("http{tls}://{}", addresses.main);
    let overview = engine.overview();
    let (documents, damaged) = (overview.documents, &overview.damaged);
    let data = configuration.engine.data.display();
    println!("clipdb {} is ready\n", env!("CARGO_PKG_VERSION"));
    println!("  address  {url}");
    if let Some(grpc) = addresses.grpc {
        println!("  gRPC     grpc{tls}://{grpc}");
    }
    for encoder in engine.models().all() {
        let card = encoder.card();
        println!("  model    {} ({} dimensions)", card.name, card.dim);
        let replicas = match card.replicas {
            1 => String::new(),
            several => format!(", {several} replicas"),
        };
        let (device, precision, engine) = (&card.device, &card.precision, &card.engine);
        println!("  device   {device}, {precision}, {engine}{replicas}");
        if let Some(note) = &card.device_note {
            println!("           {note}");
        }
    }
    if documents == 0 && damaged.is_empty() {
        println!(
            "  data     {data}, empty ('make demo' fills it with emoji and sentences from a novel)"
        );
    } else {
        println!(
            "  data     {data}: {documents} documents in {} collections",
            overview.served
        );
    }
    if !damaged.is_empty() {
        println!(
            "  DAMAGED  not served: {}; see the log for what to do",
            damaged.join(", ")
        );
    }
    println!("\nTry:");
    println!("  open {url} in a browser and drop images onto it");
    println!(
        "  curl {url}/documents -H 'content-type: application/json' -d '{{\"text\": \"a cat asleep on a mat\"}}'"
    );
    println!("  curl '{url}/search?q=a+sleeping+pet'");
}
