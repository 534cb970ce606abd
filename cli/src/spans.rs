//! Spans of the libraries and of the commands: told on stderr, or recorded as a Chrome trace.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::level_filters::LevelFilter;
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::{self, time};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Our own spans, down to a level. All crates' names begin like that.
fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_target("provenn", level)
}

/// Tells every span on stderr as it ends, if `verbose`: phases; from 2 on their parts, from 3 on the parts' parts. Records all
/// of them if `trace`.
pub(crate) fn start(verbose: u8, trace: bool) -> Option<Trace> {
    if verbose == 0 && !trace {
        return None;
    }
    let level = match verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let told = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_span_events(FmtSpan::CLOSE)
        .with_target(false)
        .with_timer(time::uptime())
        .with_filter(ours(level));
    let (recorded, trace) = match trace {
        false => (None, None),
        true => {
            let buffer = Buffer::default();
            let (layer, guard) = ChromeLayerBuilder::new()
                .writer(buffer.clone())
                .include_args(true)
                .include_locations(false)
                .build();
            (Some(layer.with_filter(ours(LevelFilter::TRACE))), Some(Trace { guard, buffer }))
        }
    };
    tracing_subscriber::registry().with(told).with(recorded).init();
    trace
}

/// A trace in the making.
pub(crate) struct Trace {
    guard: FlushGuard,
    buffer: Buffer,
}

impl Trace {
    /// What was recorded, in the trace event format of Chrome. Nothing is recorded afterwards.
    pub(crate) fn finish(self) -> Vec<u8> {
        drop(self.guard);
        std::mem::take(&mut self.buffer.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bytes that are written on another thread.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
