//! What is asked for and what has to come back: the services behind the proxy, their requests and answers.
//!
//! Every service has a body of its own, so that an answer from the wrong upstream is a wrong answer.

/// One upstream of the benchmark's configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// `api.example.com/v1/`
    ApiV1,
    /// `api.example.com/v2/`
    ApiV2,
    /// `www.example.com`
    Www,
    /// `video.example.com`
    Video,
    /// TCP: sends back what it gets.
    Echo,
    /// TCP: sends 1 MiB for every [`BULK_REQUEST`].
    Bulk,
    /// `grpc.example.com`
    Grpc,
    /// UDP: sends back what it gets.
    Udp,
}

/// What differs between the requests for one service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// 1 MiB instead of 1 KiB.
    pub(crate) large: bool,
    /// Sent over TLS.
    pub(crate) secure: bool,
    /// The last one on its connection.
    pub(crate) close: bool,
}

/// What a client of [`Service::Bulk`] sends to get the next 1 MiB.
pub(crate) const BULK_REQUEST: &[u8; 8] = b"1 MiB !\n";
/// The bytes that a client of [`Service::Echo`] sends and gets back.
pub(crate) const ECHO_SIZE: usize = 64;
/// The length of a small answer's body.
pub(crate) const SMALL: usize = 1024;
/// The length of a large answer's body, and of the unit of [`Service::Bulk`].
pub(crate) const LARGE: usize = 1024 * 1024;
/// Stands in the path of a request for a large answer.
pub(crate) const LARGE_MARK: &[u8] = b"/large/";
/// Stands in the path of a request that is sent over TLS: the backends expect X-Forwarded-Proto to say so.
pub(crate) const SECURE_MARK: &[u8] = b"/secure/";
/// The bytes of a gRPC call's message, and of the message that answers it.
pub(crate) const CALL: usize = 64;
pub(crate) const CALL_ANSWER: usize = 128;
/// What Chrome sends with each request, between `Host` and the end.
const BROWSER: [(&str, &str); 12] = [
    ("sec-ch-ua", "\"Chromium\";v=\"141\", \"Not?A_Brand\";v=\"8\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    ("Accept", "application/json, text/plain, */*"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
    ("Referer", "https://@HOST@/catalog"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-US,en;q=0.9,de;q=0.8"),
    ("Cookie", "session=4f7c1e0b9a2d4c53b1f0; theme=dark; _ga=GA1.1.1283764533.1761212345; consent=1"),
];

impl Service {
    pub(crate) const TCP: [Self; 6] =
        [Self::ApiV1, Self::ApiV2, Self::Www, Self::Video, Self::Echo, Self::Bulk];
    pub(crate) const HTTP2: [Self; 5] = [Self::ApiV1, Self::ApiV2, Self::Www, Self::Video, Self::Grpc];
    pub(crate) const HTTP: [Self; 4] = [Self::ApiV1, Self::ApiV2, Self::Www, Self::Video];

    /// The start of the names that stand for this service's ports in a configuration (`API_V1` for `@API_V1_A@`).
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::ApiV1 => "API_V1",
            Self::ApiV2 => "API_V2",
            Self::Www => "WWW",
            Self::Video => "VIDEO",
            Self::Echo => "ECHO",
            Self::Bulk => "BULK",
            Self::Grpc => "GRPC",
            Self::Udp => "UDP",
        }
    }

    /// The Host that leads to this service.
    pub(crate) fn host(self) -> &'static str {
        match self {
            Self::ApiV1 | Self::ApiV2 => "api.example.com",
            Self::Www => "www.example.com",
            Self::Video => "video.example.com",
            Self::Grpc => "grpc.example.com",
            Self::Echo | Self::Bulk | Self::Udp => "",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::ApiV1 => "/v1/catalog",
            Self::ApiV2 => "/v2/catalog",
            Self::Www => "/v1/articles",
            Self::Video => "/v2/thumbnails",
            Self::Grpc => "/catalog.Catalog",
            Self::Echo | Self::Bulk | Self::Udp => "",
        }
    }

    /// The path that is asked for.
    pub(crate) fn path(self, request: Request) -> String {
        if self == Self::Grpc {
            return format!("{}/GetItem", self.prefix());
        }
        let size = if request.large { "/large" } else { "/small" };
        let secure = if request.secure { "/secure" } else { "" };
        format!("{}{size}{secure}/items/4711?page=2&sort=price", self.prefix())
    }

    /// The fields of a browser's request, without its Host.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'static str, String)> {
        BROWSER.into_iter().map(move |(name, value)| (name, value.replace("@HOST@", self.host())))
    }

    /// The bytes of this service's body: different for each service and without a period that a wrong offset could hide in.
    pub(crate) fn body(self, size: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_u32 ^ (self as u32 + 1).wrapping_mul(0x85eb_ca6b);
        (0..size)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                b' ' + (state % 95) as u8
            })
            .collect()
    }

    /// The whole answer of the backend, head and body.
    pub(crate) fn answer(self, size: usize) -> Vec<u8> {
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: application/json; charset=utf-8\r\nContent-Length: {size}\r\n\
             Cache-Control: private, max-age=0, must-revalidate\r\nETag: \"{:08x}-{size:x}\"\r\n\
             Vary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n\r\n",
            self as u32
        )
        .into_bytes();
        answer.extend_from_slice(&self.body(size));
        answer
    }

    /// What Chrome sends for a resource of a page, with the cookies of an ordinary site.
    pub(crate) fn request(self, request: Request) -> Vec<u8> {
        let connection = if request.close { "close" } else { "keep-alive" };
        let (host, path) = (self.host(), self.path(request));
        let mut text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n");
        for (name, value) in self.fields() {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}
