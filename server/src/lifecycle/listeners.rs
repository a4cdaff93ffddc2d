//! The listeners for HTTP and gRPC.

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use clipdb_api::HttpState;
use clipdb_api::app::{self, ProtocolStatistics};
use clipdb_api::clip_as_service::grpc;
use clipdb_api::clip_as_service::grpc::GrpcServer;

use super::error::StartupError;
use crate::banner::Addresses;
use crate::configuration::Configuration;
use crate::limits::Connections;

pub(super) struct Listeners {
    http: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    grpc: Option<GrpcServer>,
    pub addresses: Addresses,
}

impl Listeners {
    /// Binds the addresses of the configuration and serves them from then on.
    pub(super) fn bind(
        state: &Arc<HttpState>,
        configuration: &Configuration,
        connections: Connections,
    ) -> Result<Self, StartupError> {
        let (tls, workers) = (configuration.tls.as_ref(), configuration.workers);
        let address = configuration.listen;
        let protocols = ProtocolStatistics::new(state)
            .map_err(|error| StartupError::Metrics(error.to_string()))?;
        let shared = Arc::clone(state);
        let (server, main) = app::bind(shared, &protocols, address, tls, workers, connections.http)
            .map_err(|source| StartupError::Listen {
                key: "listen",
                address,
                source,
            })?;
        let bind_grpc = |address| {
            let (shared, calls) = (Arc::clone(state), protocols.calls());
            grpc::bind(shared, calls, address, tls, workers, connections.grpc).map_err(|source| {
                StartupError::Listen {
                    key: "grpc",
                    address,
                    source,
                }
            })
        };
        let grpc = configuration.grpc.map(bind_grpc).transpose()?;
        Ok(Self {
            addresses: Addresses {
                main,
                grpc: grpc.as_ref().map(|grpc| grpc.address),
            },
            http: server.handle(),
            serving: actix_web::rt::spawn(server),
            grpc,
        })
    }

    /// Closes the listeners at once, with the requests that are in progress.
    pub(super) async fn close(self) {
        self.http.stop(false).await;
    }

    /// Accepts no more requests and waits until those in progress are answered.
    pub(super) async fn drain(self) {
        self.http.stop(true).await;
        let _ = self.serving.await;
        if let Some(grpc) = self.grpc {
            grpc.ended().await;
        }
    }
}
