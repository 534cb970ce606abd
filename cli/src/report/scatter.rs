//! Layers as points: the prover's time against a count, both on logarithmic axes.
//!
//! Horizontal places are percentages and vertical ones are pixels, so that the chart stretches with the page while
//! text keeps its size. Labels are placed so that they are free of one another at all widths, whether they are numbers
//! alone or, where there is room, numbers and kinds.

use super::text::{count, escape, positive, power, power_of_time, time};

/// A layer.
pub(super) struct Point {
    pub(super) index: usize,
    pub(super) kind: String,
    pub(super) count: u64,
    pub(super) ms: f64,
}

/// What the counts are of.
pub(super) struct Subject {
    /// Identifies the chart on the page.
    pub(super) id: &'static str,
    /// One of them.
    pub(super) one: &'static str,
    /// Several.
    pub(super) more: &'static str,
}

/// Height of the plot.
const HEIGHT: f64 = 300.0;
/// Room for what stands above the plot, and below it.
const ABOVE: f64 = 24.0;
const BELOW: f64 = 44.0;
/// Height of a line of labels, and the greatest width of their characters.
const LINE: f64 = 13.0;
const CHARACTER: f64 = 7.6;
/// Radius of a point.
const RADIUS: f64 = 4.5;
/// Characters of a kind that are shown.
const KIND: usize = 14;
/// The extreme widths of the plot with short labels, then those with long ones. The style sheet changes between the
/// middle two.
const WIDTHS: [f64; 4] = [190.0, 400.0, 400.0, 1100.0];

/// A logarithmic axis on which places are 0 to 1, with a strip for 0 at its start if need be.
struct Axis {
    /// Exponents of ten at its ends.
    from: i32,
    to: i32,
    /// Where the logarithmic part starts; the strip's middle is half of that.
    start: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, strip: f64) -> Axis {
        let (mut lo, mut hi, mut zero) = (f64::INFINITY, 0.0f64, false);
        for value in values {
            if value > 0.0 {
                (lo, hi) = (lo.min(value), hi.max(value));
            } else {
                zero = true;
            }
        }
        let (from, to) =
            if hi > 0.0 { (lo.log10().floor() as i32, hi.log10().ceil() as i32) } else { (0, 1) };
        Axis { from, to: to.max(from + 1), start: if zero { strip } else { 0.0 } }
    }

    fn has_zero(&self) -> bool {
        self.start > 0.0
    }

    fn at_exponent(&self, exponent: f64) -> f64 {
        let part = (exponent - f64::from(self.from)) / f64::from(self.to - self.from);
        self.start + (1.0 - self.start) * part
    }

    fn at(&self, value: f64) -> f64 {
        if value > 0.0 { self.at_exponent(value.log10()) } else { self.start / 2.0 }
    }

    /// Exponents that get a line, at equal steps of which there are no more than `most`.
    fn ticks(&self, most: usize) -> impl Iterator<Item = i32> {
        let step = ((self.to - self.from) as usize).div_ceil(most);
        (self.from..=self.to).step_by(step)
    }
}

/// What a point or a text takes of the plot.
struct Place {
    /// From left to right, at each of the `WIDTHS`.
    x: [[f64; 2]; 4],
    y: [f64; 2],
}

impl Place {
    fn of_point(x: f64, y: f64) -> Place {
        Place { x: WIDTHS.map(|w| [w * x - RADIUS, w * x + RADIUS]), y: [y - RADIUS, y + RADIUS] }
    }

    /// Whether the two never cover each other. Places are linear in the width, so what is to the left of something at
    /// the extreme widths is so between them.
    fn is_apart(&self, other: &Place) -> bool {
        let before = |a: &Place, b: &Place| a.x.iter().zip(&b.x).all(|(a, b)| a[1] <= b[0]);
        let above = |a: &Place, b: &Place| a.y[1] <= b.y[0];
        before(self, other) || before(other, self) || above(self, other) || above(other, self)
    }

    fn is_inside(&self) -> bool {
        let between = |(x, width): (&[f64; 2], f64)| x[0] >= 0.0 && x[1] <= width + 10.0;
        let [top, bottom] = self.y;
        self.x.iter().zip(WIDTHS).all(between) && top >= ABOVE - 8.0 && bottom <= ABOVE + HEIGHT + 2.0
    }
}

/// Which end of a label is at its place.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// Where a label is, from its point: its baseline's anchor.
#[derive(Clone, Copy)]
struct Offset {
    x: f64,
    y: f64,
    anchor: Anchor,
}

impl Offset {
    /// What a text takes that is so far from its point. It has so many characters where it is short and where it is
    /// long.
    fn place(&self, x: f64, y: f64, [short, long]: [usize; 2]) -> Place {
        let part = match self.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => 0.5,
            Anchor::End => 1.0,
        };
        let lengths = [short, short, long, long];
        let x = std::array::from_fn(|i| {
            let length = CHARACTER * lengths[i] as f64;
            let left = WIDTHS[i] * x + self.x - part * length;
            [left - 1.0, left + length + 1.0]
        });
        let y = y + self.y;
        Place { x, y: [y - LINE + 2.0, y + 3.0] }
    }

    fn is_far(&self) -> bool {
        self.x.hypot(self.y) > 19.0
    }

    /// Nearest first.
    fn all() -> impl Iterator<Item = Offset> {
        let (r, m, l) = (Anchor::Start, Anchor::Middle, Anchor::End);
        [
            (8.0, 4.0, r),
            (-8.0, 4.0, l),
            (0.0, -8.0, m),
            (0.0, 17.0, m),
            (7.0, -5.0, r),
            (7.0, 13.0, r),
            (-7.0, -5.0, l),
            (-7.0, 13.0, l),
            (14.0, -14.0, r),
            (14.0, 22.0, r),
            (-14.0, -14.0, l),
            (-14.0, 22.0, l),
            (22.0, 4.0, r),
            (-22.0, 4.0, l),
            (0.0, -22.0, m),
            (0.0, 31.0, m),
            (22.0, -26.0, r),
            (-22.0, -26.0, l),
            (22.0, 34.0, r),
            (-22.0, 34.0, l),
        ]
        .into_iter()
        .map(|(x, y, anchor)| Offset { x, y, anchor })
    }
}

/// A line of equal time per count, where it crosses the plot.
struct Guide {
    /// Places on both axes, 0 to 1.
    from: (f64, f64),
    to: (f64, f64),
    name: String,
}

struct Plot<'p> {
    points: &'p [Point],
    subject: &'p Subject,
    x: Axis,
    y: Axis,
}

/// The chart, or a sentence where no point has a count.
pub(super) fn scatter(points: &[Point], subject: &Subject) -> String {
    if points.iter().all(|point| point.count == 0) {
        return format!("<p class=\"empty\">No layer has {}.</p>\n", subject.more);
    }
    let x = Axis::new(points.iter().map(|point| point.count as f64), 0.2);
    let y = Axis::new(points.iter().map(|point| positive(point.ms)), 0.1);
    Plot { points, subject, x, y }.svg()
}

impl Plot<'_> {
    fn svg(&self) -> String {
        let Subject { id, more, .. } = self.subject;
        let places = self.points.iter().map(|point| self.place(point));
        let mut room = Room(places.map(|(x, y)| Place::of_point(x, y)).collect());
        let guides: String = self.guides().iter().map(|guide| self.guide(guide, &mut room)).collect();
        let points: String = self.points.iter().map(|point| self.point(point)).collect();
        let labels = self.labels(&mut room);
        format!(
            "<svg class=\"scatter\" width=\"100%\" height=\"{}\" role=\"img\" aria-labelledby=\"{id}-title {id}-about\">\
             <title id=\"{id}-title\">Prover's time of each layer against its {more}</title>\
             <desc id=\"{id}-about\">{} The table of layers has the same numbers.</desc>\n\
             <text class=\"axis\" x=\"0\" y=\"12\" dx=\"-46\">prover's time</text>\n{}{guides}{points}{labels}</svg>\n",
            ABOVE + HEIGHT + BELOW,
            self.about(),
            self.grid()
        )
    }

    /// The chart in words.
    fn about(&self) -> String {
        let points = self.points.iter().map(|point| self.title(point));
        points.collect::<Vec<_>>().join("; ") + "."
    }

    fn title(&self, point: &Point) -> String {
        let Subject { one, more, .. } = self.subject;
        let noun = if point.count == 1 { one } else { more };
        let count = if point.count == 0 { "no".into() } else { count(point.count) };
        format!("{} {}: {}, {count} {noun}", point.index, escape(&point.kind), time(point.ms))
    }

    fn height(&self, place: f64) -> f64 {
        ABOVE + HEIGHT * (1.0 - place)
    }

    fn grid(&self) -> String {
        let bottom = ABOVE + HEIGHT;
        let mut grid = String::from("<g class=\"grid\">");
        let mut vertical = |place: f64, name: &str, class: &str| {
            let x = 100.0 * place;
            grid += &format!(
                "<line{class} x1=\"{x:.3}%\" x2=\"{x:.3}%\" y1=\"{ABOVE}\" y2=\"{bottom}\"/>\
                 <text x=\"{x:.3}%\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
                bottom + 16.0
            );
        };
        if self.x.has_zero() {
            vertical(self.x.start / 2.0, "0", " class=\"zero\"");
        }
        for exponent in self.x.ticks(4) {
            vertical(self.x.at_exponent(exponent.into()), &power(exponent), "");
        }
        let mut horizontal = |place: f64, name: &str, class: &str| {
            let y = self.height(place);
            grid += &format!(
                "<line{class} x1=\"0%\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"0\" dx=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                y + 4.0
            );
        };
        if self.y.has_zero() {
            horizontal(self.y.start / 2.0, "0 ms", " class=\"zero\"");
        }
        for exponent in self.y.ticks(8) {
            horizontal(self.y.at_exponent(exponent.into()), &power_of_time(exponent), "");
        }
        grid += &format!(
            "</g>\n<text class=\"axis\" x=\"100%\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
            bottom + 36.0,
            self.subject.more
        );
        grid
    }

    /// Lines of 10^k nanoseconds for each of what is counted.
    fn guides(&self) -> Vec<Guide> {
        if self.points.iter().all(|point| positive(point.ms) == 0.0) {
            return vec![];
        }
        let (x, y) = (&self.x, &self.y);
        // On a line, log10(ms) = log10(count) + k - 6.
        let least = y.from - x.to + 6;
        let greatest = y.to - x.from + 6;
        let lines = (least + 1..greatest).filter_map(|k| {
            let from = x.from.max(y.from - (k - 6));
            let to = x.to.min(y.to - (k - 6));
            (from < to).then(|| Guide {
                from: (x.at_exponent(from.into()), y.at_exponent((from + k - 6).into())),
                to: (x.at_exponent(to.into()), y.at_exponent((to + k - 6).into())),
                name: power_of_time(k - 6),
            })
        });
        lines.collect()
    }

    fn guide(&self, guide: &Guide, room: &mut Room) -> String {
        let (end, other) = ((guide.to.0, self.height(guide.to.1)), (guide.from.0, self.height(guide.from.1)));
        // Below the upper end or above the lower one: beside the line, not on it.
        let places = [
            (end, Offset { x: -4.0, y: 14.0, anchor: Anchor::End }),
            (end, Offset { x: 4.0, y: 12.0, anchor: Anchor::Start }),
            (other, Offset { x: 4.0, y: -6.0, anchor: Anchor::Start }),
            (other, Offset { x: 10.0, y: -4.0, anchor: Anchor::Start }),
        ];
        let length = guide.name.chars().count();
        let place = places.into_iter().find(|&((x, y), offset)| room.take(offset.place(x, y, [length; 2])));
        let name = place.map_or(String::new(), |((x, y), Offset { x: dx, y: dy, anchor })| {
            format!(
                "<text x=\"{:.3}%\" y=\"{y:.1}\" dx=\"{dx}\" dy=\"{dy}\" text-anchor=\"{}\">{}</text>",
                100.0 * x,
                anchor.name(),
                guide.name
            )
        });
        format!(
            "<g class=\"guide\"><line x1=\"{:.3}%\" y1=\"{:.1}\" x2=\"{:.3}%\" y2=\"{:.1}\"/>{name}</g>\n",
            100.0 * other.0,
            other.1,
            100.0 * end.0,
            end.1
        )
    }

    fn place(&self, point: &Point) -> (f64, f64) {
        (self.x.at(point.count as f64), self.height(self.y.at(positive(point.ms))))
    }

    fn point(&self, point: &Point) -> String {
        let (x, y) = self.place(point);
        format!(
            "<circle cx=\"{:.3}%\" cy=\"{y:.1}\" r=\"{RADIUS}\"><title>{}</title></circle>\n",
            100.0 * x,
            self.title(point)
        )
    }

    /// The most expensive layers first. A layer whose label has no free place goes without.
    fn labels(&self, room: &mut Room) -> String {
        let mut order: Vec<&Point> = self.points.iter().collect();
        order.sort_by(|a, b| positive(b.ms).total_cmp(&positive(a.ms)));
        let labels = order.into_iter().filter_map(|point| {
            let ((x, y), label) = (self.place(point), Label::new(point));
            let offset = Offset::all().find(|offset| room.take(offset.place(x, y, label.lengths())))?;
            Some(label.svg(x, y, &offset))
        });
        labels.collect()
    }
}

/// What is taken of the plot.
struct Room(Vec<Place>);

impl Room {
    /// Takes the place if it is free and on the plot.
    fn take(&mut self, place: Place) -> bool {
        let free = place.is_inside() && self.0.iter().all(|other| other.is_apart(&place));
        if free {
            self.0.push(place);
        }
        free
    }
}

/// A point's label: its number, and its kind where there is room.
struct Label {
    number: String,
    kind: String,
}

impl Label {
    fn new(point: &Point) -> Label {
        let mut kind: String = point.kind.chars().take(KIND).collect();
        if kind.len() < point.kind.len() {
            kind.pop();
            kind.push('…');
        }
        Label { number: point.index.to_string(), kind }
    }

    /// Its characters where it is short and where it is long.
    fn lengths(&self) -> [usize; 2] {
        [self.number.len(), self.number.len() + 1 + self.kind.chars().count()]
    }

    fn svg(&self, x: f64, y: f64, offset: &Offset) -> String {
        let Offset { x: dx, y: dy, anchor } = *offset;
        // From the point to where the label begins.
        let leader = if offset.is_far() {
            format!("<line x1=\"0\" y1=\"0\" x2=\"{}\" y2=\"{}\"/>", 0.85 * dx, 0.85 * (dy - 4.0))
        } else {
            String::new()
        };
        format!(
            "<svg class=\"label\" x=\"{:.3}%\" y=\"{y:.1}\">{leader}\
             <text x=\"{dx}\" y=\"{dy}\" text-anchor=\"{}\">{}<tspan class=\"long\"> {}</tspan></text></svg>\n",
            100.0 * x,
            anchor.name(),
            self.number,
            escape(&self.kind)
        )
    }
}
