//! A page that is read while it comes: JSON Lines or CSV, perhaps gzip. Whole lines leave as records at once, and only what has no end yet is
//! kept, so that a body of any length takes the memory of one chunk and one line.

use std::io::Write as _;

use bytes::{Bytes, BytesMut};

use super::rows::{Ends, Rows};
use super::{DecodeError, Decoder, Extracted};
use crate::manifest::Format;

/// One line, or one row with all lines of its values.
const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Decompressed; nobody exports more in one file, and a bomb does.
const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Compressed bytes at a time, of which each may become a thousand.
const UNZIP_BYTES: usize = 4 * 1024;

/// Where a body stands between two chunks.
#[derive(Debug)]
pub(crate) struct Lines {
    unzip: Option<Unzip>,
    /// What follows the last whole line.
    rest: BytesMut,
    /// Decompressed bytes until now.
    bytes: u64,
    kind: Kind,
}

/// The decompressor writes into a buffer that is emptied after each piece.
type Unzip = flate2::write::MultiGzDecoder<Vec<u8>>;

#[derive(Debug)]
enum Kind {
    /// Lines until now.
    Json(usize),
    Csv(Rows, Ends),
}

impl Decoder {
    /// True where a page need not have come whole to be read.
    pub(crate) fn reads_lines(&self) -> bool {
        matches!(self.format, Format::JsonLines | Format::Csv(_))
    }

    /// Begins a body; `None` where it must be read as a whole.
    pub(crate) fn lines(&self) -> Result<Option<Lines>, DecodeError> {
        let kind = match &self.format {
            Format::JsonLines => Kind::Json(0),
            Format::Csv(csv) => {
                let rows = Rows::new(csv)?;
                let ends = Ends::new(&rows);
                Kind::Csv(rows, ends)
            }
            Format::Json | Format::Xml(_) => return Ok(None),
        };
        Ok(Some(Lines { unzip: self.gzip.then(|| Unzip::new(Vec::new())), rest: BytesMut::new(), bytes: 0, kind }))
    }
}

impl Lines {
    /// The records that are whole by this chunk.
    pub fn take(&mut self, decoder: &Decoder, chunk: &[u8]) -> Result<Vec<Extracted>, DecodeError> {
        let Some(mut unzip) = self.unzip.take() else { return self.plain(decoder, chunk) };
        let mut records = Vec::new();
        for piece in chunk.chunks(UNZIP_BYTES) {
            unzip.write_all(piece).map_err(|error| no_gzip(&error))?;
            let plain = std::mem::take(unzip.get_mut());
            records.extend(self.plain(decoder, &plain)?);
        }
        self.unzip = Some(unzip);
        Ok(records)
    }

    /// What stands after the last line's end: the body is over.
    pub fn end(mut self, decoder: &Decoder) -> Result<Vec<Extracted>, DecodeError> {
        let mut records = Vec::new();
        if let Some(unzip) = self.unzip.take() {
            let plain = unzip.finish().map_err(|error| no_gzip(&error))?;
            records = self.plain(decoder, &plain)?;
        }
        let last = self.rest.split().freeze();
        records.extend(self.block(decoder, &last)?);
        Ok(records)
    }

    fn plain(&mut self, decoder: &Decoder, chunk: &[u8]) -> Result<Vec<Extracted>, DecodeError> {
        self.bytes += chunk.len() as u64;
        if self.bytes > BODY_BYTES_MAX {
            return Err(DecodeError::TooMuch { max: usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX), of: "bytes" });
        }
        let end = match &mut self.kind {
            Kind::Json(_) => chunk.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1),
            Kind::Csv(_, ends) => ends.last(chunk),
        };
        let Some(end) = end else {
            if self.rest.len() + chunk.len() > LINE_BYTES_MAX {
                return Err(DecodeError::TooMuch { max: LINE_BYTES_MAX, of: "bytes in one line" });
            }
            self.rest.extend_from_slice(chunk);
            return Ok(Vec::new());
        };
        self.rest.extend_from_slice(&chunk[..end]);
        let block = self.rest.split().freeze();
        self.rest.extend_from_slice(&chunk[end..]);
        self.block(decoder, &block)
    }

    /// Whole lines.
    fn block(&mut self, decoder: &Decoder, block: &Bytes) -> Result<Vec<Extracted>, DecodeError> {
        match &mut self.kind {
            Kind::Json(lines) => decoder.json_lines(block, lines),
            Kind::Csv(rows, _) => rows.read(block, decoder.id.as_deref(), decoder.updated_at.as_deref()),
        }
    }
}

fn no_gzip(error: &std::io::Error) -> DecodeError {
    DecodeError::Malformed { format: "gzip", what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::{Csv, Read};

    fn decoder(format: Format, gzip: bool) -> Decoder {
        let mut read: Read = serde_saphyr::from_str("request: {method: GET, path: /x}").unwrap();
        (read.format, read.gzip) = (format, gzip);
        Decoder::new(&read, (Some("id"), Some("at")), &[], &[])
    }

    /// In chunks of these lengths, in turn.
    fn in_chunks(decoder: &Decoder, body: &[u8], lengths: &[usize]) -> Result<Vec<Extracted>, DecodeError> {
        let mut lines = decoder.lines()?.unwrap();
        let (mut records, mut rest) = (Vec::new(), body);
        for length in lengths.iter().cycle() {
            let (chunk, after) = rest.split_at((*length).min(rest.len()));
            records.extend(lines.take(decoder, chunk)?);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        records.extend(lines.end(decoder)?);
        Ok(records)
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(body).unwrap();
        out.finish().unwrap()
    }

    proptest! {
        /// However a body is cut into chunks, it has the same records, or is refused for the same reason.
        #[test]
        fn chunks_change_nothing(
            text in "(\\{\"id\":[0-9]{1,3},\"at\":\"[a-zé]{0,3}\"\\}|[a-z]{0,2}|[ \",;\\r\\n\u{feff}]){0,24}",
            lengths in proptest::collection::vec(1_usize..9, 1..5),
        ) {
            for format in [Format::JsonLines, Format::Csv(Csv::default())] {
                let whole = decoder(format.clone(), false).decode(&Bytes::from(text.clone())).map(|decoded| decoded.records);
                prop_assert_eq!(&in_chunks(&decoder(format.clone(), false), text.as_bytes(), &lengths), &whole, "{:?}", text);
                let unzipped = in_chunks(&decoder(format, true), &gzip(text.as_bytes()), &lengths);
                prop_assert_eq!(&unzipped, &whole, "{:?}", text);
            }
        }
    }

    #[test]
    fn a_value_may_go_over_lines_and_chunks() {
        let rows = "\u{feff}id,at,note\r\n1,x,\"a,\"\"b\"\"\nc\"\r\n2,y,\"d\n\ne\"";
        for length in 1..rows.len() {
            let records = in_chunks(&decoder(Format::Csv(Csv::default()), false), rows.as_bytes(), &[length]).unwrap();
            let ids: Vec<_> = records.iter().map(|record| record.id.as_deref()).collect();
            assert_eq!(ids, [Some("1"), Some("2")], "chunks of {length}");
            assert_eq!(&records[1].bytes[..], b"{\"id\":\"2\",\"at\":\"y\",\"note\":\"d\\n\\ne\"}");
        }
    }

    #[test]
    fn a_line_without_end_and_a_bomb_are_refused_before_they_fill_the_memory() {
        let mut lines = decoder(Format::JsonLines, false).lines().unwrap().unwrap();
        let plain = decoder(Format::JsonLines, false);
        let error = (0..=LINE_BYTES_MAX / 65_536).find_map(|_| lines.take(&plain, &[b'x'; 65_536]).err());
        assert_eq!(error.unwrap().to_string(), "it has more than 8388608 bytes in one line");

        let zipped = decoder(Format::JsonLines, true);
        let bomb = gzip(&vec![b'x'; 4 * LINE_BYTES_MAX]);
        assert!(bomb.len() < 200_000);
        let mut lines = zipped.lines().unwrap().unwrap();
        assert_eq!(lines.take(&zipped, &bomb).unwrap_err().to_string(), "it has more than 8388608 bytes in one line");

        let cut = gzip(b"{\"id\":1}\n");
        let error = in_chunks(&zipped, &cut[..cut.len() - 9], &[5]).unwrap_err().to_string();
        assert!(error.starts_with("it is not gzip"), "{error}");
    }
}
