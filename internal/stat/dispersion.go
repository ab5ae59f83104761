package stat

// Dispersion returns the index of dispersion of counts, variance over mean: 0
// for even arrivals, about 1 for Poisson arrivals, more for bursts. It returns
// 0 for no counts or none above zero.
func Dispersion(counts []int) float64 {
	if len(counts) == 0 {
		return 0
	}
	var sum, squares float64
	for _, c := range counts {
		sum += float64(c)
		squares += float64(c) * float64(c)
	}
	n := float64(len(counts))
	mean := sum / n
	if mean == 0 {
		return 0
	}
	return (squares/n - mean*mean) / mean
}

// ChiSquare returns Pearson's statistic of observed counts against expected
// ones, which are above zero.
func ChiSquare(observed []int, expected []float64) float64 {
	var x float64
	for i, o := range observed {
		d := float64(o) - expected[i]
		x += d * d / expected[i]
	}
	return x
}
