use super::honest::keys;
use super::models::*;
use crate::*;
use provenn_circuits::layers::*;
use provenn_circuits::model::*;
fn w(k: u32, s: u32, p: u32) -> Window {
    Window {
        kernel: vec![k; 2],
        strides: vec![s; 2],
        dilations: vec![1; 2],
        begin: vec![p; 2],
        end: vec![p; 2],
    }
}
fn conv(o: u32, c: u32, k: u32, p: u32) -> Layer {
    Layer::Conv(Conv {
        groups: 1,
        outputs: o,
        channels: c,
        window: w(k, 1, p),
        weight_bits: 8,
        bias_bits: Some(16),
        requantize: None,
    })
}
fn gemm(i: u32, o: u32) -> Layer {
    Layer::Gemm(Gemm { inputs: i, outputs: o, weight_bits: 8, bias_bits: Some(16), requantize: None })
}
fn build(lenet: bool) -> Model {
    let relu = |s| Some((s, Function::Relu, Range::new(0, 255)));
    let shape: Vec<usize> = if lenet { vec![1, 1, 28, 28] } else { vec![1, 3, 32, 32] };
    let mut n = Network::new(&shape, Range::new(0, 255), TableBits { limb: 8, direct: 12 }, 1);
    let list: Vec<(Layer, _)> = if lenet {
        vec![
            (conv(6, 1, 5, 2), relu(9)),
            (Layer::MaxPool(MaxPool { window: w(2, 2, 0) }), None),
            (conv(16, 6, 5, 0), relu(10)),
            (Layer::MaxPool(MaxPool { window: w(2, 2, 0) }), None),
            (reshape(&[1, 400]), None),
            (gemm(400, 120), relu(10)),
            (gemm(120, 84), relu(10)),
            (gemm(84, 10), None),
        ]
    } else {
        vec![
            (conv(12, 3, 5, 0), relu(9)),
            (Layer::MaxPool(MaxPool { window: w(2, 2, 0) }), None),
            (conv(33, 12, 5, 0), relu(10)),
            (Layer::MaxPool(MaxPool { window: w(2, 2, 0) }), None),
            (reshape(&[1, 825]), None),
            (gemm(825, 251), relu(10)),
            (gemm(251, 175), relu(10)),
            (gemm(175, 10), None),
        ]
    };
    for (l, r) in list {
        let v = n.len() - 1;
        n.add(l, &[v], r).expect("fits");
    }
    n.model
}
#[test]
fn bench() {
    for lenet in [true, false] {
        let mut model = build(lenet);
        let t = std::time::Instant::now();
        model.layers = provenn_circuits::system::choose_tables(&model.layers).unwrap();
        println!("choose {:?} -> {:?}", t.elapsed(), model.layers.tables);
        let t = std::time::Instant::now();
        let (pk, vk) = keys(&model);
        println!("commit+verify key {:?}", t.elapsed());
        let shape = provenn_circuits::system::KeyShape::derive(&model.layers).unwrap();
        println!(
            "n {} k {} {:?}",
            shape.n,
            shape.k,
            shape.inference(provenn_circuits::Modes::PUBLIC).counts()
        );
        let input = model.random_input(3);
        let mut times = vec![];
        let mut v = vec![];
        let mut len = 0;
        for r in 0..7 {
            let t = std::time::Instant::now();
            let mut last = t;
            let proof = pk
                .prove_observed(&input, ProveOptions::default(), &mut |p| {
                    if r == 3 {
                        println!("  {:?} {:?}", p, last.elapsed());
                    }
                    last = std::time::Instant::now();
                })
                .unwrap();
            if r == 3 {
                println!("  end {:?}", last.elapsed());
            }
            times.push(t.elapsed());
            len = proof.bytes.len();
            let t = std::time::Instant::now();
            vk.verify(&proof.bytes, b"").unwrap();
            v.push(t.elapsed());
        }
        times.sort();
        v.sort();
        println!("lenet {lenet}: prove {:?} verify {:?} bytes {len}", times[3], v[3]);
    }
}
