//! The workloads by name.

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::service::{BULK_REQUEST, ECHO_SIZE, LARGE, SMALL, Service};

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Workload {
    #[serde(rename = "w1-64")]
    Small64,
    #[serde(rename = "w1-8")]
    Small8,
    #[serde(rename = "w2")]
    Large,
    #[serde(rename = "w3")]
    NewConnections,
    #[serde(rename = "w4-pingpong")]
    TcpPingPong,
    #[serde(rename = "w4-bulk")]
    TcpBulk,
    #[serde(rename = "w5")]
    Idle,
}

/// Which of a proxy's three listeners a workload drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Http,
    TcpEcho,
    TcpBulk,
}

/// How the end of an answer is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A head with a Content-Length before the body.
    Http,
    /// The body alone.
    Raw,
}

/// A request and the body that answers it.
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
}

impl Workload {
    pub(crate) const ALL: [Self; 7] = [
        Self::Small64,
        Self::Small8,
        Self::Large,
        Self::NewConnections,
        Self::TcpPingPong,
        Self::TcpBulk,
        Self::Idle,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small64 => "w1-64",
            Self::Small8 => "w1-8",
            Self::Large => "w2",
            Self::NewConnections => "w3",
            Self::TcpPingPong => "w4-pingpong",
            Self::TcpBulk => "w4-bulk",
            Self::Idle => "w5",
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Small64 => "1 KiB, keep-alive, 64 connections",
            Self::Small8 => "1 KiB, keep-alive, 8 connections",
            Self::Large => "1 MiB, keep-alive, 16 connections",
            Self::NewConnections => "1 KiB, new connection each, 64 at once",
            Self::TcpPingPong => "TCP, 64 B there and back, 64 connections",
            Self::TcpBulk => "TCP, 1 MiB units down, 8 connections",
            Self::Idle => "10,000 idle keep-alive connections",
        }
    }

    /// The workloads that a name stands for: one, or all whose name begins with it (`w1`).
    pub(crate) fn named(name: &str) -> anyhow::Result<Vec<Self>> {
        if let Some(exact) = Self::ALL.into_iter().find(|workload| workload.name() == name) {
            return Ok(vec![exact]);
        }
        let group = format!("{name}-");
        let found: Vec<Self> =
            Self::ALL.into_iter().filter(|workload| workload.name().starts_with(&group)).collect();
        if found.is_empty() {
            bail!("no workload `{name}`; there are {}", Self::ALL.map(Self::name).join(", "));
        }
        Ok(found)
    }

    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Small64 | Self::NewConnections | Self::TcpPingPong => 64,
            Self::Small8 | Self::TcpBulk => 8,
            Self::Large => 16,
            Self::Idle => 10_000,
        }
    }

    pub(crate) fn door(self) -> Door {
        match self {
            Self::TcpPingPong => Door::TcpEcho,
            Self::TcpBulk => Door::TcpBulk,
            _ => Door::Http,
        }
    }

    /// Whether each exchange writes a line where the access log is on (TCP flows live as long as the run).
    pub(crate) fn logs_each_exchange(self) -> bool {
        matches!(self, Self::Small64 | Self::Small8 | Self::Large | Self::NewConnections)
    }

    /// Whether each exchange has a connection of its own.
    pub(crate) fn closes(self) -> bool {
        self == Self::NewConnections
    }

    /// What the connections of the load ask in turn.
    pub(crate) fn exchanges(self) -> Vec<Exchange> {
        match self {
            Self::TcpPingPong => {
                let body = Service::Echo.body(ECHO_SIZE);
                vec![Exchange { request: body.clone(), body, framing: Framing::Raw }]
            }
            Self::TcpBulk => {
                let body = Service::Bulk.body(LARGE);
                vec![Exchange { request: BULK_REQUEST.to_vec(), body, framing: Framing::Raw }]
            }
            _ => {
                let large = self == Self::Large;
                let size = if large { LARGE } else { SMALL };
                let exchange = |service: Service| Exchange {
                    request: service.request(large, self.closes()),
                    body: service.body(size),
                    framing: Framing::Http,
                };
                Service::HTTP.into_iter().map(exchange).collect()
            }
        }
    }
}
