//! The rows of a binary COPY, as they stream.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use tokio::sync::mpsc::{self, Receiver};

use crate::server::Server;

/// So many bytes are handed over at once, at least.
const HAND_OVER: usize = 64 * 1024;
/// The signature, the flags, and the length of an extension.
const HEADER: usize = 11 + 4 + 4;

/// A COPY under way. It streams on a connection and in a task of its own, a few hundred kB ahead.
pub struct Tuples {
    arriving: Receiver<Result<Vec<u8>>>,
    buffer: Vec<u8>,
    at: usize,
    row: Range<usize>,
    begun: bool,
}

impl Tuples {
    /// Begins.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn of(server: &Server, statement: &'static str) -> Result<Self> {
        let mut connection = server.connect().await?;
        let (hand_over, arriving) = mpsc::channel(4);
        tokio::spawn(async move {
            let copy = async {
                let mut rows = connection.copy_out_raw(statement).await?;
                let mut together = Vec::with_capacity(2 * HAND_OVER);
                while let Some(bytes) = rows.try_next().await? {
                    together.extend_from_slice(&bytes);
                    if together.len() >= HAND_OVER {
                        let full = std::mem::replace(&mut together, Vec::with_capacity(2 * HAND_OVER));
                        if hand_over.send(Ok(full)).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                let _ = hand_over.send(Ok(together)).await;
                anyhow::Ok(())
            };
            if let Err(error) = copy.await {
                let _ = hand_over.send(Err(error)).await;
            }
        });
        Ok(Self { arriving, buffer: Vec::new(), at: 0, row: 0..0, begun: false })
    }

    /// Goes to the next row; `false`: there is none.
    ///
    /// # Errors
    /// When the COPY fails, or ends in the middle.
    pub async fn next(&mut self) -> Result<bool> {
        if !self.begun {
            while self.buffer.len() < HEADER {
                self.more().await?;
            }
            ensure!(self.buffer.starts_with(b"PGCOPY\n"), "no binary COPY");
            (self.at, self.begun) = (HEADER, true);
        }
        loop {
            match tuple(&self.buffer[self.at..])? {
                Tuple::Ends(length) => {
                    // Without the number of fields.
                    self.row = self.at + 2..self.at + length;
                    self.at += length;
                    return Ok(true);
                }
                Tuple::Last => return Ok(false),
                Tuple::Partial => self.more().await?,
            }
        }
    }

    /// The fields of the row, each behind its length.
    #[must_use]
    pub fn row(&self) -> &[u8] {
        &self.buffer[self.row.clone()]
    }

    /// The first field, which is a bigint.
    ///
    /// # Errors
    /// When it is none.
    pub fn key(&self) -> Result<i64> {
        let row = self.row();
        ensure!(row.starts_with(&8_i32.to_be_bytes()), "the first field is no bigint");
        Ok(i64::from_be_bytes(row.get(4..12).context("a short row")?.try_into()?))
    }

    /// Whether the field behind the first one is NULL.
    #[must_use]
    pub fn second_is_null(&self) -> bool {
        self.row().get(12..16) == Some(&(-1_i32).to_be_bytes())
    }

    async fn more(&mut self) -> Result<()> {
        let arrived = self.arriving.recv().await.context("the COPY ended in the middle")??;
        if self.at == self.buffer.len() {
            self.buffer = arrived;
        } else {
            self.buffer.drain(..self.at);
            self.buffer.extend(arrived);
        }
        self.at = 0;
        Ok(())
    }
}

enum Tuple {
    Ends(usize),
    Last,
    Partial,
}

fn tuple(bytes: &[u8]) -> Result<Tuple> {
    let Some(fields) = bytes.first_chunk::<2>() else { return Ok(Tuple::Partial) };
    let fields = i16::from_be_bytes(*fields);
    if fields < 0 {
        return Ok(Tuple::Last);
    }
    let mut at = 2;
    for _ in 0..fields {
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(Tuple::Partial) };
        // NULL has the length -1 and no bytes.
        at += 4 + usize::try_from(i32::from_be_bytes(*length).max(0))?;
    }
    Ok(if at <= bytes.len() { Tuple::Ends(at) } else { Tuple::Partial })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuples(bytes: Vec<Vec<u8>>) -> Tuples {
        let (send, arriving) = mpsc::channel(100);
        for part in bytes {
            send.try_send(Ok(part)).expect("room");
        }
        Tuples { arriving, buffer: Vec::new(), at: 0, row: 0..0, begun: false }
    }

    #[tokio::test]
    async fn rows_come_out_whole_however_the_bytes_are_cut() -> Result<()> {
        let mut all = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for key in [7_i64, 8] {
            all.extend([0, 2, 0, 0, 0, 8]);
            all.extend(key.to_be_bytes());
            all.extend(if key == 7 { vec![0xff; 4] } else { vec![0, 0, 0, 1, 42] });
        }
        all.extend([0xff, 0xff]);
        for size in [1, 5, 19, 1000] {
            let mut read = tuples(all.chunks(size).map(<[u8]>::to_vec).collect());
            assert!(read.next().await?);
            assert_eq!((read.key()?, read.second_is_null()), (7, true));
            assert!(read.next().await?);
            assert_eq!((read.key()?, read.second_is_null(), read.row().last()), (8, false, Some(&42)));
            assert!(!read.next().await?);
        }
        all.truncate(all.len() - 3);
        let mut cut = tuples(vec![all]);
        assert!(cut.next().await?);
        assert!(cut.next().await.is_err());
        Ok(())
    }
}
