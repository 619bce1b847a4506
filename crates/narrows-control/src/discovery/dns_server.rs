//! A DNS server that says what a test tells it to say.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;

/// What a server says to a question.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// A message with these records.
    Records(Vec<Record>),
    /// An error, and how long a negative one holds.
    Code(ResponseCode, Option<u32>),
    /// A message of the test's own; it gets the id of the question.
    Message(Message),
    /// These bytes behind the id of the question.
    Bytes(Vec<u8>),
    /// Over UDP that it does not fit, over TCP these records.
    TooLong(Vec<Record>),
    /// Nothing.
    Silence,
}

type Script = dyn Fn(&Query) -> Says;

/// A running server. It ends with the runtime of its test.
pub(crate) struct DnsServer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    script: Rc<RefCell<Box<Script>>>,
    asked: Rc<Cell<usize>>,
}

impl DnsServer {
    /// Starts it.
    pub(crate) async fn start(script: impl Fn(&Query) -> Says + 'static) -> DnsServer {
        let script: Rc<RefCell<Box<Script>>> = Rc::new(RefCell::new(Box::new(script)));
        let asked = Rc::new(Cell::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let socket = UdpSocket::bind(address).await.expect("the same port is free for UDP");
        let (said, counted) = (Rc::clone(&script), Rc::clone(&asked));
        spawn_local(async move {
            let mut question = vec![0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut question).await {
                counted.set(counted.get() + 1);
                let answer = answer(&question[..length], said.borrow().as_ref(), true);
                if let Some(answer) = answer {
                    let _ = socket.send_to(&answer, client).await;
                }
            }
        });
        let said = Rc::clone(&script);
        spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let length = stream.read_u16().await.expect("a question has a length");
                let mut question = vec![0; length.into()];
                stream.read_exact(&mut question).await.expect("a question is whole");
                let answer = answer(&question, said.borrow().as_ref(), false);
                if let Some(answer) = answer {
                    let _ = stream.write_u16(answer.len() as u16).await;
                    let _ = stream.write_all(&answer).await;
                }
            }
        });
        DnsServer { address, script, asked }
    }

    /// From now on it says something else.
    pub(crate) fn says(&self, script: impl Fn(&Query) -> Says + 'static) {
        *self.script.borrow_mut() = Box::new(script);
    }

    /// How many datagrams came so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.get()
    }
}

fn answer(bytes: &[u8], script: &Script, by_datagram: bool) -> Option<Vec<u8>> {
    let question = Message::from_vec(bytes).expect("the question can be read");
    let query = question.queries.first().expect("there is a question").clone();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.add_query(query.clone());
    match script(&query) {
        Says::Silence => return None,
        Says::Bytes(bytes) => return Some([&question.metadata.id.to_be_bytes(), &*bytes].concat()),
        Says::Records(records) => drop(answer.add_answers(records)),
        Says::TooLong(_) if by_datagram => answer.metadata.truncation = true,
        Says::TooLong(records) => drop(answer.add_answers(records)),
        Says::Code(code, holds) => {
            answer.metadata.response_code = code;
            answer.add_authorities(holds.map(soa));
        }
        Says::Message(message) => {
            answer = message;
            answer.metadata.id = question.metadata.id;
        }
    }
    Some(answer.to_vec().expect("an answer can be written"))
}

/// Runs a test on a runtime like the control plane's, with a generous deadline.
pub(crate) fn on_runtime<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    runtime.expect("there is a runtime").block_on(limited).expect("the test ends in time")
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a name");
    name.set_fqdn(true);
    name
}

/// An A or AAAA record.
pub(crate) fn address(of: &str, ttl: u32, address: &str) -> Record {
    let address: IpAddr = address.parse().expect("an address");
    Record::from_rdata(name(of), ttl, RData::from(address))
}

pub(crate) fn alias(of: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(of), ttl, RData::CNAME(CNAME(name(target))))
}

pub(crate) fn service(of: &str, ttl: u32, (priority, weight, port): (u16, u16, u16), target: &str) -> Record {
    Record::from_rdata(name(of), ttl, RData::SRV(SRV::new(priority, weight, port, name(target))))
}

pub(crate) fn soa(minimum: u32) -> Record {
    let soa = SOA::new(name("ns.test"), name("host.test"), 1, 60, 60, 60, minimum);
    Record::from_rdata(name("test"), 86_400, RData::SOA(soa))
}

pub(crate) fn server_of(zone: &str) -> Record {
    Record::from_rdata(name(zone), 60, RData::NS(NS(name("ns.elsewhere"))))
}

/// A script that answers questions for A records with these addresses, and says of everything else that there
/// is nothing.
pub(crate) fn addresses(
    of: &'static str,
    ttl: u32,
    list: &'static [&'static str],
) -> impl Fn(&Query) -> Says {
    move |question| {
        if *question.name() == name(of) && question.query_type() == RecordType::A && !list.is_empty() {
            Says::Records(list.iter().map(|one| address(of, ttl, one)).collect())
        } else {
            Says::Code(ResponseCode::NoError, None)
        }
    }
}
