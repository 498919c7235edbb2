// A load of etcd through its own client, clientv3, which is what programs in Go ask it with: beside
// etcd_load, which costs the two processors less and so shows the server better. Both are printed.
//
//	etcd_client PORT put|get [--connections N] [--pipeline N] [--seconds N] [--entities N]
//	            [--value BYTES] [--seed N]
//
// Every connection is a client of its own, with `pipeline` calls outstanding, in a closed loop; keys
// are those of etcd_load. Prints a line of what load_report.h says, as far as cluster.sh reads it.
// Exit status 1 where a call failed or a get answered with fewer bytes than the value has.
//
// Built by cluster.sh from Debian's sources (packages golang-go, golang-etcd-server-dev).
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
)

var (
	connections = flag.Int("connections", 50, "clients")
	pipeline    = flag.Int("pipeline", 1, "calls outstanding of each")
	seconds     = flag.Int("seconds", 5, "measured, after half a second")
	entities    = flag.Int("entities", 10000, "keys")
	value       = flag.Int("value", 200, "bytes of a value")
	seed        = flag.Int64("seed", 1, "of the keys")
)

type caller struct {
	latencies []time.Duration
	errors    int
}

func (c *caller) loop(client *clientv3.Client, gets bool, dice *rand.Rand, warm, end time.Time) {
	letters := string(bytes.Repeat([]byte{'x'}, *value))
	for begun := time.Now(); begun.Before(end); begun = time.Now() {
		key := fmt.Sprintf("kv/%d", dice.Intn(*entities))
		var err error
		if gets {
			var answer *clientv3.GetResponse
			answer, err = client.Get(context.Background(), key)
			if err == nil && (len(answer.Kvs) != 1 || len(answer.Kvs[0].Value) < *value) {
				err = fmt.Errorf("no value")
			}
		} else {
			_, err = client.Put(context.Background(), key, letters)
		}
		if err != nil {
			c.errors++
		}
		if begun.After(warm) {
			c.latencies = append(c.latencies, time.Since(begun))
		}
	}
}

func processorSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func main() {
	if len(os.Args) < 3 || (os.Args[2] != "put" && os.Args[2] != "get") {
		fmt.Fprintln(os.Stderr, "usage: etcd_client PORT put|get [--connections N] ...")
		os.Exit(2)
	}
	if err := flag.CommandLine.Parse(os.Args[3:]); err != nil {
		os.Exit(2)
	}
	clients := make([]*clientv3.Client, *connections)
	for i := range clients {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: []string{"127.0.0.1:" + os.Args[1]}, DialTimeout: 10 * time.Second})
		if err != nil {
			fmt.Fprintln(os.Stderr, "etcd_client:", err)
			os.Exit(2)
		}
		clients[i] = client
	}
	callers := make([]caller, *connections**pipeline)
	warm := time.Now().Add(time.Second / 2)
	end := warm.Add(time.Duration(*seconds) * time.Second)
	var all sync.WaitGroup
	for i := range callers {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			dice := rand.New(rand.NewSource(*seed + int64(i)))
			callers[i].loop(clients[i%*connections], os.Args[2] == "get", dice, warm, end)
		}(i)
	}
	time.Sleep(time.Until(warm))
	before := processorSeconds()
	time.Sleep(time.Until(end))
	used := processorSeconds() - before
	all.Wait()

	var latencies []time.Duration
	errors := 0
	for _, c := range callers {
		latencies = append(latencies, c.latencies...)
		errors += c.errors
	}
	if len(latencies) == 0 {
		fmt.Fprintln(os.Stderr, "etcd_client: nothing was answered")
		os.Exit(1)
	}
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	at := func(percent int) int64 {
		return latencies[(len(latencies)-1)*percent/100].Microseconds()
	}
	fmt.Printf("calls=%d seconds=%d rate=%d p50_us=%d p99_us=%d errors=%d load_cpu=%.2f\n",
		len(latencies), *seconds, len(latencies) / *seconds, at(50), at(99), errors,
		used/float64(*seconds))
	if errors > 0 {
		os.Exit(1)
	}
}
