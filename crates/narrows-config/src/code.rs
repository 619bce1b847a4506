//! The stable codes of diagnostics.

/// Makes the enum, its numbers and its sentences from one table.
macro_rules! codes {
    ($($number:literal $name:ident $sentence:literal,)+) => {
        /// What a diagnostic is about; scripts may rely on [`Code::as_str`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "`Code::sentence` says it")]
        pub enum Code { $($name,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$name,)+];

            /// The stable name, `N0101` for instance.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $number,)+ }
            }

            /// What the code means, in a sentence.
            pub fn sentence(self) -> &'static str {
                match self { $(Code::$name => $sentence,)+ }
            }
        }
    };
}

codes! {
    "N0001" Unreadable "A configuration file cannot be read.",
    "N0002" TooLarge "A configuration file is larger than 16 MiB.",
    "N0003" NotUtf8 "A configuration file is not UTF-8 text.",
    "N0004" Syntax "The text is not well-formed YAML.",
    "N0005" DuplicateKey "A key stands twice in one table.",
    "N0006" TooDeep "Tables and lists are nested more than 64 levels deep.",
    "N0007" TooManyNodes "The text, or what its aliases expand to, holds too many values.",
    "N0008" SeveralDocuments "A file holds more than one YAML document.",
    "N0009" Merge "A merge key (`<<`) has a value that is not a table.",
    "N0010" Tag "A value has a YAML tag (`!name`); there are none.",
    "N0101" UnknownKey "A table has a key that does not exist.",
    "N0102" MissingKey "A table lacks a key that it needs.",
    "N0103" WrongKind "A value is of the wrong kind, a list instead of a text for instance.",
    "N0104" UnknownValue "A value is not one of the words that may stand there.",
    "N0105" NumberOutOfRange "A number is not one, or outside the range that makes sense.",
    "N0106" BadDuration "A duration cannot be read.",
    "N0107" BadSize "A size cannot be read.",
    "N0108" OtherProtocol "A key belongs to listeners of another protocol.",
    "N0109" EmptyList "A list needs at least one entry.",
    "N0110" NotExactlyOne "A table must hold exactly one of several keys.",
    "N0111" NoEffect "A key has no effect beside another one, or without it.",
    "N0112" BadPercentage "A percentage cannot be read, or is outside the range that makes sense.",
    "N0113" NeverPasses "A deadline can never pass, because another one always passes before it.",
    "N0114" BadHex "Bytes in hexadecimal cannot be read.",
    "N0201" UnknownUpstream "A route names an upstream that does not exist.",
    "N0202" UnusedUpstream "No listener uses an upstream.",
    "N0203" DuplicateName "A listener, an upstream or a setting is written in two files.",
    "N0204" BadName "A name holds characters that names cannot have.",
    "N0205" NoListeners "Nothing would be listened on.",
    "N0301" BadAddress "An address cannot be read.",
    "N0302" MissingPort "An address lacks its port.",
    "N0303" BadPort "A port is out of range, or zero where traffic must go.",
    "N0304" BoundTwice "An address is bound twice.",
    "N0305" BadNetwork "A block of addresses (CIDR) cannot be read.",
    "N0306" NoEndpoints "An upstream has no endpoints.",
    "N0307" NotForDatagrams "Datagrams are received or sent where only connections can be: at a Unix socket, over TLS, with version 1 of the PROXY protocol.",
    "N0308" EndpointFile "The file of an upstream's endpoints cannot be used now.",
    "N0309" NoSuchLabel "A route asks for a label, or the value of one, that no endpoint has.",
    "N0310" MirrorToItself "A route mirrors requests to the upstream that it sends them to.",
    "N0311" Loop "Traffic goes in a circle: an endpoint is an address that this process listens on.",
    "N0312" CheckNeverPasses "A health check can never pass.",
    "N0313" OpenAdmin "Everybody who reaches a TCP port could use the admin API.",
    "N0401" NoAction "A route does not say what to do.",
    "N0402" SeveralActions "A route says more than one thing to do.",
    "N0403" Shadowed "A route can never be reached: an earlier one takes everything it would.",
    "N0404" BadHost "A host pattern cannot be read.",
    "N0405" BadPath "A path pattern cannot be read.",
    "N0406" NeverMatches "A path pattern can never match, because paths are normalised before they are compared.",
    "N0407" BadRegex "A regular expression cannot be compiled.",
    "N0408" BadMethod "A method is not a token.",
    "N0409" NoPrefix "`rewrite.prefix` needs a route whose paths are all prefixes.",
    "N0410" NoWeight "All weights of a split, or of an upstream, are zero.",
    "N0411" BadStatus "A status code is out of range for its place.",
    "N0412" TooManyPatterns "The patterns of a listener are too large together.",
    "N0413" BadServerName "A TLS server name cannot be read, or is missing where it cannot be known.",
    "N0414" BadCertificate "A file of a certificate, key, authority or revocation list cannot be used.",
    "N0415" WrongKey "A key does not belong to its certificate.",
    "N0416" ExpiredCertificate "A certificate is not valid now.",
    "N0417" BadSecret "The key of signed cookies cannot be used.",
    "N0501" BadHeaderName "A header name is not a token (RFC 9110 section 5.6.2).",
    "N0502" FramingHeader "A header frames the message or belongs to one connection; the proxy alone sets it.",
    "N0503" PageUnreadable "The file of an error page cannot be read.",
    "N0504" PageTooLarge "The file of an error page is larger than 1 MiB.",
    "N0505" BadHeaderValue "A header value holds a control character.",
    "N0506" HeaderTwice "A header is changed twice in one table.",
    "N0601" ExpressionSyntax "An expression cannot be parsed.",
    "N0602" UnknownFact "An expression asks for something that does not exist.",
    "N0603" TypeMismatch "The parts of an expression do not fit together.",
    "N0604" Unsupported "An expression uses a part of CEL that Narrows does not have.",
    "N0605" ExpressionTooLarge "An expression is too long or nested too deeply.",
    "N0606" NoSuchCapture "A capture group does not exist in the route's path.",
    "N0607" NoResponse "`response` is used where there is no response yet.",
    "N0608" UnclosedTemplate "`${` has no closing brace, or nothing inside.",
    "N0609" LoneDollar "A dollar sign stands alone; `$$` writes one.",
    "N0610" NotLiteral "An argument must be written out, it cannot be computed.",
    "N0611" NotAtThisLayer "An expression asks for something that this protocol does not have.",
    "N0612" ConstantKey "A key that is meant to tell clients apart is the same for all of them.",
    "N0701" NoSuchAccount "The user or group to run as does not exist here, or this process may not become it.",
    "N0702" UnwritableFile "A file that the process has to write cannot be written.",
    "N0703" UnreadableLater "A file cannot be read any more once the process is another user.",
}

/// What a code means; `None` for codes that do not exist.
pub fn explain_code(code: &str) -> Option<&'static str> {
    Code::ALL.iter().find(|known| known.as_str().eq_ignore_ascii_case(code)).map(|known| known.sentence())
}
