//! Every operation, once: what it is called, what it takes, what it answers, and what carries it out.

use super::{Api, Call, Outcome, health, reads, writes};
use crate::model;
use crate::operations::ReloadReport;
use crate::problem::Cause;
use crate::reply::{JSON, LINES, TEXT};
use narrows_control::{EndpointState, UpstreamState};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// What carries an operation out.
pub(crate) type Handler = fn(Rc<Api>, Call) -> Pin<Box<dyn Future<Output = Outcome>>>;

/// Makes the schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// An operation of the API.
pub(crate) struct Operation {
    /// Its name in the description.
    pub(crate) id: &'static str,
    /// Its method.
    pub(crate) method: &'static str,
    /// Its path; `{name}` stands for a segment.
    pub(crate) path: &'static str,
    /// What it does, in a sentence.
    pub(crate) summary: &'static str,
    /// What the path's names stand for.
    pub(crate) parameters: &'static [Parameter],
    /// The type of its body, where it has one.
    pub(crate) body: Option<SchemaOf>,
    /// Status, type and schema of its answer.
    pub(crate) answer: (u16, &'static str, Option<SchemaOf>),
    /// Causes of problems that it has beside those of all.
    pub(crate) causes: &'static [Cause],
    /// Whether everybody may ask.
    pub(crate) is_public: bool,
    /// What carries it out.
    pub(crate) handler: Handler,
}

/// A name in a path.
pub(crate) struct Parameter {
    /// The name.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) text: &'static str,
    /// One that there may be.
    pub(crate) example: &'static str,
}

const UPSTREAM: Parameter = Parameter { name: "upstream", text: "Name of the upstream.", example: "web" };
const ENDPOINT: Parameter = Parameter {
    name: "endpoint",
    text: "Label of the endpoint, its address; a slash in it is written as %2F.",
    example: "10.0.0.1:8080",
};

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// An operation that reads, with an answer in JSON.
const fn read(
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    answer: SchemaOf,
    handler: Handler,
) -> Operation {
    Operation {
        id,
        method: "GET",
        path,
        summary,
        parameters: &[],
        body: None,
        answer: (200, JSON, Some(answer)),
        causes: &[],
        is_public: false,
        handler,
    }
}

/// An operation that changes something, with an answer in JSON.
const fn write(
    id: &'static str,
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    (body, answer): (Option<SchemaOf>, SchemaOf),
    causes: &'static [Cause],
    handler: Handler,
) -> Operation {
    Operation { method, body, causes, ..read(id, path, summary, answer, handler) }
}

/// A handler as the table holds it.
macro_rules! by {
    ($handler:path) => {
        |api, call| Box::pin($handler(api, call))
    };
}

/// All of them, in the order of the description.
pub(crate) static OPERATIONS: [Operation; 27] = [
    read("version", "/v1/version", "The program.", of::<model::Version>, by!(reads::version)),
    Operation {
        causes: &[Cause::Busy],
        ..read("status", "/v1/status", "The process.", of::<model::Status>, by!(reads::status))
    },
    read(
        "config",
        "/v1/config",
        "The configuration in force, with the defaults filled in and where each part was written.",
        of::<model::Configuration>,
        by!(reads::config),
    ),
    read("listeners", "/v1/listeners", "All listeners.", of::<model::Listeners>, by!(reads::listeners)),
    read("routes", "/v1/routes", "All routes, with what they took.", of::<model::Routes>, by!(reads::routes)),
    Operation {
        causes: &[Cause::Busy],
        ..read(
            "upstreams",
            "/v1/upstreams",
            "All upstreams with their endpoints.",
            of::<model::Upstreams>,
            by!(reads::upstreams),
        )
    },
    Operation {
        parameters: &[UPSTREAM],
        causes: &[Cause::BadParameter, Cause::UnknownUpstream, Cause::Busy],
        ..read(
            "upstream",
            "/v1/upstreams/{upstream}",
            "One upstream with its endpoints.",
            of::<UpstreamState>,
            by!(reads::upstream),
        )
    },
    Operation {
        parameters: &[UPSTREAM],
        causes: &[Cause::BadParameter, Cause::UnknownUpstream, Cause::Busy],
        ..read(
            "endpoints",
            "/v1/upstreams/{upstream}/endpoints",
            "The endpoints of an upstream.",
            of::<model::Endpoints>,
            by!(reads::endpoints),
        )
    },
    Operation {
        parameters: &[UPSTREAM],
        answer: (201, JSON, Some(of::<EndpointState>)),
        ..write(
            "add_endpoint",
            "POST",
            "/v1/upstreams/{upstream}/endpoints",
            "Adds an endpoint. It stays over reloads, and is gone with a restart.",
            (Some(of::<model::NewEndpoint>), of::<EndpointState>),
            &[
                Cause::BadBody,
                Cause::BadParameter,
                Cause::UnknownUpstream,
                Cause::EndpointExists,
                Cause::TooMany,
                Cause::Busy,
            ],
            by!(writes::add_endpoint),
        )
    },
    Operation {
        parameters: &[UPSTREAM, ENDPOINT],
        causes: &[Cause::BadParameter, Cause::UnknownUpstream, Cause::UnknownEndpoint, Cause::Busy],
        ..read(
            "endpoint",
            "/v1/upstreams/{upstream}/endpoints/{endpoint}",
            "One endpoint.",
            of::<EndpointState>,
            by!(reads::endpoint),
        )
    },
    Operation {
        parameters: &[UPSTREAM, ENDPOINT],
        ..write(
            "change_endpoint",
            "PATCH",
            "/v1/upstreams/{upstream}/endpoints/{endpoint}",
            "Drains an endpoint, takes it out or in, or changes its weight. It holds over reloads, until a restart.",
            (Some(of::<model::EndpointChange>), of::<EndpointState>),
            &[
                Cause::BadBody,
                Cause::BadParameter,
                Cause::UnknownUpstream,
                Cause::UnknownEndpoint,
                Cause::Busy,
            ],
            by!(writes::change_endpoint),
        )
    },
    Operation {
        parameters: &[UPSTREAM, ENDPOINT],
        answer: (204, "", None),
        ..write(
            "remove_endpoint",
            "DELETE",
            "/v1/upstreams/{upstream}/endpoints/{endpoint}",
            "Removes an endpoint that was added.",
            (None, of::<EndpointState>),
            &[
                Cause::BadParameter,
                Cause::UnknownUpstream,
                Cause::UnknownEndpoint,
                Cause::ConfiguredEndpoint,
                Cause::Busy,
            ],
            by!(writes::remove_endpoint),
        )
    },
    Operation {
        causes: &[Cause::Busy],
        ..read(
            "pools",
            "/v1/pools",
            "How connections to upstreams are kept, and how many are open.",
            of::<model::Pools>,
            by!(reads::pools),
        )
    },
    read(
        "certificates",
        "/v1/certificates",
        "The certificates that are shown, and until when they are valid.",
        of::<model::Certificates>,
        by!(reads::certificates),
    ),
    read("workers", "/v1/workers", "All workers.", of::<model::Workers>, by!(reads::workers)),
    read("causes", "/v1/causes", "Why requests to this API fail.", of::<model::Causes>, by!(reads::causes)),
    write(
        "reopen_logs",
        "POST",
        "/v1/logs/reopen",
        "Opens the log files anew, after they were moved away.",
        (None, of::<model::Done>),
        &[Cause::Failed, Cause::Impossible],
        by!(writes::reopen_logs),
    ),
    write(
        "reload",
        "POST",
        "/v1/reload",
        "Reads the configuration again and serves it. When anything is wrong with it, the old one stays.",
        (Some(of::<model::ReloadRequest>), of::<ReloadReport>),
        &[Cause::BadBody, Cause::BadConfiguration, Cause::Impossible, Cause::WrongMoment, Cause::Failed],
        by!(writes::reload),
    ),
    write(
        "confirm",
        "POST",
        "/v1/confirm",
        "Keeps the configuration that is on trial.",
        (None, of::<model::Done>),
        &[Cause::WrongMoment],
        by!(writes::confirm),
    ),
    write(
        "drain",
        "POST",
        "/v1/drain",
        "Ends the process gracefully: no new connection, what runs is finished.",
        (None, of::<model::Done>),
        &[Cause::WrongMoment],
        by!(writes::drain),
    ),
    write(
        "upgrade",
        "POST",
        "/v1/upgrade",
        "Hands over to a new process of the program on the disk; this one drains once the new one serves.",
        (None, of::<model::Done>),
        &[Cause::Failed, Cause::Impossible, Cause::WrongMoment],
        by!(writes::upgrade),
    ),
    Operation {
        answer: (200, LINES, None),
        causes: &[Cause::BadParameter, Cause::TooMany],
        ..read(
            "explain",
            "/v1/explain",
            "Explains requests, flows and sessions as they happen, a JSON object a line.",
            of::<model::Done>,
            by!(reads::explain),
        )
    },
    Operation {
        is_public: true,
        answer: (200, TEXT, None),
        ..read("health", "/health", "Whether the process is alive.", of::<model::Done>, by!(health::health))
    },
    Operation {
        is_public: true,
        answer: (200, TEXT, None),
        causes: &[Cause::NotReady],
        ..read(
            "ready",
            "/ready",
            "Whether the process takes traffic: not before it serves, and not while it drains.",
            of::<model::Done>,
            by!(health::ready),
        )
    },
    Operation {
        answer: (200, TEXT, None),
        causes: &[Cause::Impossible],
        ..read("metrics", "/metrics", "The metrics.", of::<model::Done>, by!(health::metrics))
    },
    Operation {
        answer: (200, JSON, None),
        ..read("openapi", "/openapi.json", "This description.", of::<model::Done>, by!(health::openapi))
    },
    Operation {
        answer: (200, TEXT, None),
        ..read("paths", "/", "What there is, for people.", of::<model::Done>, by!(health::paths))
    },
];
